//! Two processes of one name: the older one is fenced, ends and says so; the younger one goes on.

use crate::support::raw::{trade, watermark};
use crate::support::stage::Stage;

const T: i64 = 1_723_161_600_000_000;

#[test]
fn the_older_twin_ends() {
    let Some(stage) = Stage::new("twins", 1, &[]) else { return };
    let mut older = stage.run(&[]);
    older.wait_ready(200, "ok");
    let mut younger = stage.run(&[]);
    younger.wait_ready(200, "ok");
    stage.log.tell(0, &[trade("A", T, 1.0), watermark(T + 1_000_000)]);
    younger.wait("the tick is committed", || stage.log.drained());
    let code = older.end();
    let said = older.output();
    assert!(code == 1 && said.contains("fenced") && said.contains("kafka.instance"), "{code}: {said}");
    younger.stop();
    assert_eq!(stage.read("bars").len(), 1);
}
