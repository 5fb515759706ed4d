//! How the connection to PostgreSQL is encrypted: what `sslmode` and `sslrootcert` of `store.url` say.
//!
//! | `sslmode` | connection |
//! |---|---|
//! | `verify-full`, `require` | TLS; the server's certificate and its name are verified |
//! | not given, `disable`, `prefer` | in clear: for a server on this machine |
//!
//! There is no mode that encrypts without verification: whoever can listen on the way can also answer in the server's place.
//! `sslrootcert` names a PEM file with the trusted certificates; without it those of the system are trusted.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What `store.url` says.
#[derive(Debug)]
pub(super) struct Target {
    /// Server, user and database.
    pub(super) config: Config,
    /// The certificates that are trusted; `None`: in clear.
    tls: Option<Roots>,
}

/// Whose certificates are trusted.
#[derive(Debug, PartialEq, Eq)]
enum Roots {
    System,
    File(PathBuf),
}

impl Target {
    /// Parses the URL. A mistake is one sentence without the URL, which may hold a password.
    pub(super) fn parse(url: &str) -> Result<Target, String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots, mut others) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned();
            match key {
                "sslmode" => mode = Some(value),
                "sslrootcert" => roots = Some(value),
                _ => others.push(pair),
            }
        }
        let is_tls = match mode.as_deref() {
            Some("verify-full" | "require") => true,
            None | Some("disable" | "prefer") => false,
            Some("verify-ca") => {
                return Err("sslmode=verify-ca does not check the server's name: use sslmode=verify-full".to_owned());
            }
            Some(_) => return Err("sslmode is verify-full, require or disable".to_owned()),
        };
        if roots.is_some() && !is_tls {
            return Err("sslrootcert is used with sslmode=verify-full".to_owned());
        }
        let rest = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
        let mut config: Config = rest.parse().map_err(|_| "expected \"postgres://USER@HOST/DATABASE\"".to_owned())?;
        config.ssl_mode(if is_tls { SslMode::Require } else { SslMode::Disable });
        let roots = match roots.as_deref() {
            None | Some("system") => Roots::System,
            Some(path) => Roots::File(PathBuf::from(path)),
        };
        Ok(Target { config, tls: is_tls.then_some(roots) })
    }

    /// The TLS client; `None`: in clear.
    pub(super) fn connector(&self) -> Result<Option<MakeRustlsConnect>, String> {
        let Some(from) = &self.tls else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        match from {
            Roots::System => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Roots::File(path) => {
                let unusable = |why: String| format!("sslrootcert {}: {why}", path.display());
                let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
                let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
                roots.add_parsable_certificates(found.map_err(|_| unusable("expected PEM".to_owned()))?);
            }
        }
        if roots.is_empty() {
            return Err(
                "there are no trusted certificates: install ca-certificates, or name a PEM file by sslrootcert"
                    .to_owned(),
            );
        }
        let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(MakeRustlsConnect::new(client)))
    }

    /// Is the connection in clear, to another machine?
    pub(super) fn is_exposed(&self) -> bool {
        use tokio_postgres::config::Host;
        let is_here = |host: &Host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => {
                name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        };
        self.tls.is_none() && !self.config.get_hosts().iter().all(is_here)
    }
}

#[cfg(test)]
mod tests;
