//! A certificate authority of one test, made with the OpenSSL that the program is linked to.

use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

/// The authority.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

impl Authority {
    /// Makes one.
    pub fn new(name: &str) -> Self {
        let key = key();
        let mut builder = begin(name, &key);
        let subject = builder_name(name);
        builder.set_issuer_name(&subject).expect("an issuer");
        builder.append_extension(BasicConstraints::new().critical().ca().build().expect("a flag")).expect("a flag");
        builder
            .append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build().expect("a use"))
            .expect("a use");
        builder.sign(&key, MessageDigest::sha256()).expect("a signature");
        Self { certificate: builder.build(), key }
    }

    /// Writes its certificate into `folder`.
    pub fn write(&self, folder: &Path, file: &str) -> PathBuf {
        let path = folder.join(file);
        std::fs::write(&path, self.certificate.to_pem().expect("PEM")).expect("a file");
        path
    }

    /// A server's certificate for the DNS name `host`, and its key (PKCS 8), both in PEM.
    pub fn certificate(&self, host: &str) -> (String, String) {
        let key = key();
        let mut builder = begin(host, &key);
        builder.set_issuer_name(self.certificate.subject_name()).expect("an issuer");
        let names =
            SubjectAlternativeName::new().dns(host).build(&builder.x509v3_context(Some(&self.certificate), None));
        builder.append_extension(names.expect("a name")).expect("a name");
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build().expect("a use")).expect("a use");
        builder.sign(&self.key, MessageDigest::sha256()).expect("a signature");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("PEM is text");
        (text(builder.build().to_pem().expect("PEM")), text(key.private_key_to_pem_pkcs8().expect("PEM")))
    }
}

fn key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a curve");
    PKey::from_ec_key(EcKey::generate(&curve).expect("a key")).expect("a key")
}

fn builder_name(name: &str) -> openssl::x509::X509Name {
    let mut builder = X509NameBuilder::new().expect("a name");
    builder.append_entry_by_nid(Nid::COMMONNAME, name).expect("a name");
    builder.build()
}

/// All but issuer, extensions and signature.
fn begin(name: &str, key: &PKey<Private>) -> X509Builder {
    let mut builder = X509Builder::new().expect("a certificate");
    let mut serial = BigNum::new().expect("a number");
    serial.rand(120, MsbOption::MAYBE_ZERO, false).expect("a number");
    builder.set_version(2).expect("a version");
    builder.set_serial_number(&serial.to_asn1_integer().expect("a number")).expect("a number");
    builder.set_subject_name(&builder_name(name)).expect("a subject");
    builder.set_pubkey(key).expect("a key");
    builder.set_not_before(&Asn1Time::days_from_now(0).expect("a time")).expect("a time");
    builder.set_not_after(&Asn1Time::days_from_now(2).expect("a time")).expect("a time");
    builder
}
