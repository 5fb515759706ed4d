//! The certificate behind the port: made by the hub itself, or taken from files.
//!
//! Self-signed: a key and a certificate are made at the first start and kept in `state_dir` (`tls.key` readable by the
//! owner only, `tls.crt`). Agents know the hub by that key (the join link carries its fingerprint), so it is never
//! replaced on its own; names and dates in the certificate mean nothing to them. Files: read at the start, and again when
//! one of them changes (a renewed certificate), without losing a connection; what cannot be read leaves the old one in
//! force.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use olog_proto::identity::KeyPrint;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::NoServerSessionStorage,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// Made at the first start, kept in this folder.
    SelfSigned {
        /// The hub's `state_dir`.
        dir: PathBuf,
        /// Host names for browsers; agents do not look at them.
        names: Vec<String>,
    },
    /// Two PEM files.
    Files {
        /// The certificate and its chain.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it must.
    #[error("{path} holds no usable {what}: expected PEM")]
    Content {
        /// Which.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// Certificate and key do not go together, or rustls takes neither.
    #[error("the certificate {cert} and the key {key} do not go together")]
    Pair {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Making a certificate failed.
    #[error("cannot make a self-signed certificate")]
    Make(#[source] rcgen::Error),
    /// The cryptography library takes none of our versions.
    #[error("cannot set TLS up")]
    SetUp(#[source] rustls::Error),
}

/// The certificate in force, and the means to look for a newer one.
#[derive(Debug)]
pub struct Certificate {
    source: CertificateSource,
    seen: [Option<SystemTime>; 2],
    serving: watch::Sender<Arc<ServerConfig>>,
    /// The SHA-256 of the key of a self-signed certificate.
    key: Option<[u8; 32]>,
}

impl Certificate {
    /// Reads it, or makes it.
    pub fn load(source: CertificateSource) -> Result<Certificate, TlsError> {
        let seen = source.changed_at();
        let (config, key) = match &source {
            CertificateSource::Files { cert, key } => (read(cert, key)?, None),
            CertificateSource::SelfSigned { dir, names } => {
                let (cert, key) = (dir.join("tls.crt"), dir.join("tls.key"));
                let hash = make_if_missing(&cert, &key, names)?;
                (read(&cert, &key)?, Some(hash))
            }
        };
        Ok(Certificate { source, seen, serving: watch::Sender::new(config), key })
    }

    /// What the listener takes for every new connection.
    pub fn serving(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.serving.subscribe()
    }

    /// The fingerprint of a self-signed certificate's key, which the join link carries.
    pub fn fingerprint(&self) -> Option<KeyPrint> {
        self.key.map(KeyPrint::of_hash)
    }

    /// The same key as curl's `--pinnedpubkey sha256//…` names it.
    pub fn pin(&self) -> Option<String> {
        self.key.map(|hash| STANDARD.encode(hash))
    }

    /// Reads the files again if one of them has changed, or if a person asked for it. `Ok(true)`: what was read is in force.
    pub fn refresh(&mut self, is_asked: bool) -> Result<bool, TlsError> {
        let CertificateSource::Files { cert, key } = &self.source else { return Ok(false) };
        let seen = self.source.changed_at();
        if seen == self.seen && !is_asked {
            return Ok(false);
        }
        // Remembered even if it does not hold: the same mistake is told once, not every 5 s.
        self.seen = seen;
        self.serving.send_replace(read(cert, key)?);
        Ok(true)
    }
}

impl CertificateSource {
    fn changed_at(&self) -> [Option<SystemTime>; 2] {
        let changed_at = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
        match self {
            CertificateSource::Files { cert, key } => [changed_at(cert), changed_at(key)],
            CertificateSource::SelfSigned { .. } => [None, None],
        }
    }
}

fn read(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let bytes = |path: &Path| fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source });
    let content = |path: &Path, what| TlsError::Content { path: path.to_owned(), what };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes(cert)?)
        .collect::<Result<_, _>>()
        .map_err(|_| content(cert, "certificate"))?;
    if chain.is_empty() {
        return Err(content(cert, "certificate"));
    }
    let private = PrivateKeyDer::from_pem_slice(&bytes(key)?).map_err(|_| content(key, "private key"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::SetUp)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|source| TlsError::Pair { cert: cert.to_owned(), key: key.to_owned(), source })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Connections last for weeks: resuming one saves nothing, and its tickets would cost every session.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn make_if_missing(cert: &Path, key: &Path, names: &[String]) -> Result<[u8; 32], TlsError> {
    let pair = match fs::read_to_string(key) {
        Ok(pem) => {
            KeyPair::from_pem(&pem).map_err(|_| TlsError::Content { path: key.to_owned(), what: "private key" })?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let pair = KeyPair::generate().map_err(TlsError::Make)?;
            write(key, pair.serialize_pem().as_bytes(), 0o600)?;
            // A certificate of an older key is worth nothing any more.
            make(cert, &pair, names)?;
            pair
        }
        Err(source) => return Err(TlsError::Read { path: key.to_owned(), source }),
    };
    if !cert.exists() {
        make(cert, &pair, names)?;
    }
    Ok(Sha256::digest(pair.subject_public_key_info()).into())
}

fn make(cert: &Path, pair: &KeyPair, names: &[String]) -> Result<(), TlsError> {
    let params = CertificateParams::new(names.to_vec()).map_err(TlsError::Make)?;
    let made = params.self_signed(pair).map_err(TlsError::Make)?;
    write(cert, made.pem().as_bytes(), 0o644)
}

/// Written beside and renamed: a crash leaves the old file or the new one.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), TlsError> {
    let beside = path.with_extension("new");
    let attempt = || {
        if let Err(error) = fs::remove_file(&beside)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    attempt().map_err(|source| TlsError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn self_signed(dir: &Path) -> CertificateSource {
        CertificateSource::SelfSigned { dir: dir.to_owned(), names: vec!["localhost".into()] }
    }

    #[test]
    fn a_self_signed_key_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Certificate::load(self_signed(dir.path())).unwrap();
        let mode = fs::metadata(dir.path().join("tls.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(dir.path().join("tls.crt")).unwrap();
        let second = Certificate::load(self_signed(dir.path())).unwrap();
        assert_eq!(first.fingerprint(), second.fingerprint());
        assert!(first.fingerprint().is_some());
    }

    #[test]
    fn a_damaged_key_is_named_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("tls.key"), "garbage").unwrap();
        let error = Certificate::load(self_signed(dir.path())).unwrap_err().to_string();
        assert!(error.contains("tls.key") && error.contains("private key"), "{error}");
        assert_eq!(fs::read(dir.path().join("tls.key")).unwrap(), b"garbage");
    }

    #[test]
    fn renewed_files_come_into_force_and_broken_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        make_if_missing(&cert, &key, &["a.example".into()]).unwrap();
        let mut certificate =
            Certificate::load(CertificateSource::Files { cert: cert.clone(), key: key.clone() }).unwrap();
        let serving = certificate.serving();
        let first = serving.borrow().clone();
        assert!(!certificate.refresh(false).unwrap());

        fs::remove_file(&key).unwrap();
        make_if_missing(&cert, &key, &["b.example".into()]).unwrap();
        certificate.seen = [None, None];
        assert!(certificate.refresh(false).unwrap());
        let second = serving.borrow().clone();
        assert!(!Arc::ptr_eq(&first, &second));

        fs::write(&cert, "not a certificate").unwrap();
        certificate.seen = [None, None];
        assert!(certificate.refresh(false).is_err());
        assert!(!certificate.refresh(false).unwrap(), "the same mistake is told once");
        assert!(Arc::ptr_eq(&second, &serving.borrow()));
    }
}
