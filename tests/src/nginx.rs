//! nginx in front of a hub, as `docs/operations.md` shows it: TLS by a certificate of an authority, and the hub under a path prefix.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::daemon::wait_for;

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Nginx {
    /// `https://localhost:PORT/olog/` in front of a hub without TLS on this loopback port.
    pub fn start(folder: &Path, port: u16, hub: u16) -> Nginx {
        let folder = folder.join("nginx");
        fs::create_dir_all(&folder).unwrap();
        certificates(&folder, "localhost");
        let dir = folder.display();
        let location = location(hub);
        let conf = format!(
            "daemon off; pid {dir}/pid; error_log {dir}/error.log; {user}\nevents {{}}\nhttp {{\n  access_log off;\n\
             client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;\n\
             server {{\n listen 127.0.0.1:{port} ssl; server_name localhost;\n ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;\n{location}\n}}\n}}\n",
            user = if rustix::process::geteuid().is_root() { "user root;" } else { "" },
        );
        fs::write(folder.join("nginx.conf"), conf).unwrap();
        let nginx = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let mut command = Command::new(nginx);
        command.arg("-e").arg(folder.join("error.log")).arg("-c").arg(folder.join("nginx.conf"));
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("nginx is installed");
        let log = folder.join("error.log");
        wait_for(
            "nginx listens",
            || fs::read_to_string(&log).unwrap_or_default(),
            || TcpStream::connect(("127.0.0.1", port)).ok(),
        );
        Nginx { child, folder, port }
    }

    /// The hub's `public_url`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/olog", self.port)
    }

    /// The certificate of the authority, for `SSL_CERT_FILE`.
    pub fn authority(&self) -> String {
        self.folder.join("ca.pem").display().to_string()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // At SIGTERM the master ends its workers too.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap()) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
        self.child.wait().ok();
    }
}

/// The location block for a hub on this loopback port, as docs/operations.md shows it.
pub fn location(hub: u16) -> String {
    let page = include_str!("../../docs/operations.md");
    let location = page.split("```nginx").nth(1).and_then(|rest| rest.split("```").next()).expect("the page shows it");
    location.replace("8765", &hub.to_string())
}

/// `cert.pem` and `key.pem` of this host, and `ca.pem` of the authority that signed them.
pub fn certificates(folder: &Path, host: &str) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "an authority of this test");
    let authority_key = KeyPair::generate().unwrap();
    fs::write(folder.join("ca.pem"), authority.self_signed(&authority_key).unwrap().pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
    leaf.not_before = rcgen::date_time_ymd(2020, 1, 1);
    let leaf = leaf.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    fs::write(folder.join("cert.pem"), leaf.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}
