//! The beginning of a TLS client: whom it trusts.

use openssl::ssl::{SslConnector, SslConnectorBuilder, SslMethod};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;

/// A client that trusts the authorities in the file `root` (PEM) and no others; without one the system's.
///
/// # Errors
/// When the file cannot be read as certificates, in words.
pub fn client(root: Option<&str>) -> Result<SslConnectorBuilder, String> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(|error| error.to_string())?;
    if let Some(path) = root {
        let pem = std::fs::read(path).map_err(|error| error.to_string())?;
        let certificates = X509::stack_from_pem(&pem).map_err(|error| error.to_string())?;
        if certificates.is_empty() {
            return Err("it holds none".to_owned());
        }
        // A store of our own: the builder's holds the system's authorities too.
        let mut store = X509StoreBuilder::new().map_err(|error| error.to_string())?;
        for certificate in certificates {
            store.add_cert(certificate).map_err(|error| error.to_string())?;
        }
        builder.set_cert_store(store.build());
    }
    Ok(builder)
}
