//! Good files, and the words for bad ones.

use std::io::Write as _;

use super::*;

fn file(text: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    file
}

fn rows(text: &[u8], symbol: Option<&str>) -> Result<Vec<String>, CsvError> {
    let symbol = symbol.map(|s| Symbol::new(s).unwrap());
    let file = file(text);
    let rows: Result<Vec<_>, _> = TickFile::open(file.path(), symbol.as_ref())?.collect();
    Ok(rows?
        .iter()
        .map(|row| {
            let mut bytes = Vec::new();
            row.encode(&mut bytes);
            String::from_utf8(bytes).unwrap()
        })
        .collect())
}

fn error(text: &str) -> String {
    rows(text.as_bytes(), None).unwrap_err().to_string()
}

const GOOD: &str = "ts_us,symbol,price,size,side,trade_id,recv_ts_us\n1723161255342000,BTCUSDT,61837.63000000,0.02000000,sell,17,1723161254087896\n1723161255342001,BTCUSDT,1,500,,,\n";

const FIRST: &str = r#"{"symbol":"BTCUSDT","price":61837.63000000,"size":0.02000000,"side":"sell","trade_id":"17","event_time":1723161255342000,"receive_time":1723161254087896}"#;

#[test]
fn decimals_stay_digit_for_digit_and_empty_cells_are_left_out() {
    let second = r#"{"symbol":"BTCUSDT","price":1,"size":500,"event_time":1723161255342001}"#;
    assert_eq!(rows(GOOD.as_bytes(), None).unwrap(), [FIRST, second]);
}

#[test]
fn gzip_is_recognised_by_its_bytes() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(GOOD.as_bytes()).unwrap();
    assert_eq!(rows(&encoder.finish().unwrap(), None).unwrap()[0], FIRST);
}

#[test]
fn columns_are_found_by_name_and_the_symbol_is_replaced() {
    let text = b"price , extra,ts_us,size\r\n1e2,x,9,-2\r\n\r\n";
    assert_eq!(rows(text, Some("A.B")).unwrap(), [r#"{"symbol":"A.B","price":1e2,"size":-2,"event_time":9}"#]);
}

#[test]
fn progress_counts_the_bytes_on_disk() {
    let file = file(GOOD.as_bytes());
    let mut ticks = TickFile::open(file.path(), None).unwrap();
    let progress = ticks.progress();
    assert_eq!(ticks.by_ref().count(), 2);
    assert_eq!((progress.read(), progress.size), (GOOD.len() as u64, GOOD.len() as u64));
}

#[test]
fn errors_name_the_line_and_the_cell() {
    for bad in ["abc", "", "NaN", "+1", "1.", ".5", "0x10", "1 2", "\"\""] {
        let text = error(&format!("ts_us,symbol,price,size\n1,A,1,1\n2,A,{bad},1\n"));
        assert!(text.contains("line 3: price is `"), "{bad}: {text}");
    }
    assert!(error("ts_us,symbol,price,size\n1.5,A,1,1\n").contains("line 2: ts_us is `1.5`"));
    assert!(error("ts_us,symbol,price,size\n1,A,1\n").contains("line 2: size is ``"));
    assert!(error("ts_us,symbol,price\n").contains("column `size` is missing"));
    assert!(error("").contains("column `ts_us` is missing"));
    let missing = TickFile::open(Path::new("no/such/file.csv"), None).err().unwrap().to_string();
    assert!(missing.starts_with("no/such/file.csv: "), "{missing}");
}

#[test]
fn what_is_written_is_read_back_digit_for_digit() {
    let folder = tempfile::tempdir().unwrap();
    let source = file(GOOD.as_bytes());
    for name in ["a.csv", "a.csv.gz"] {
        let path = folder.path().join(name);
        let mut writer = TickFileWriter::create(&path).unwrap();
        for row in TickFile::open(source.path(), None).unwrap() {
            writer.write(&row.unwrap()).unwrap();
        }
        assert!(!path.exists(), "half a file has no name");
        writer.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.starts_with(&[0x1f, 0x8b]), name.ends_with("gz"));
        assert_eq!(rows(&bytes, None).unwrap(), rows(GOOD.as_bytes(), None).unwrap());
    }
    drop(TickFileWriter::create(&folder.path().join("given-up.csv")).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "what was given up is gone");
    let nowhere = folder.path().join("absent/a.csv");
    let error = TickFileWriter::create(&nowhere).err().unwrap().to_string();
    assert!(error.contains("absent/a.csv"), "{error}");
}
