//! nginx and Caddy in front of a hub, by the very files of `deploy/`: only ports, the host's name and the certificate's place are replaced.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::daemon::wait_for;

const NGINX: &str = include_str!("../../deploy/nginx/olog.conf");
const NGINX_UNDER_PATH: &str = include_str!("../../deploy/nginx/olog-under-path.conf");
const CADDY: &str = include_str!("../../deploy/caddy/Caddyfile");

/// A running reverse proxy for `https://localhost:PORT`.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    url: String,
    authority: PathBuf,
}

impl Proxy {
    /// nginx at `https://localhost:PORT/olog/`, in front of a hub without TLS on this loopback port.
    pub fn nginx_under_path(folder: &Path, port: u16, hub: u16) -> Proxy {
        let dir = folder.join("nginx");
        let dir = dir.display();
        let location = location(hub);
        let server = format!(
            "server {{\n listen 127.0.0.1:{port} ssl; server_name localhost;\n ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;\n{location}\n}}\n"
        );
        Proxy::start_nginx(folder, port, "/olog", &server)
    }

    /// nginx at `https://localhost:PORT`, in front of a hub without TLS on this loopback port.
    pub fn nginx(folder: &Path, port: u16, hub: u16) -> Proxy {
        let dir = folder.join("nginx").display().to_string();
        let site = replaced(NGINX, "listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"));
        let site = replaced(&site, "/etc/letsencrypt/live/hub.example.com/fullchain.pem", &format!("{dir}/cert.pem"));
        let site = replaced(&site, "/etc/letsencrypt/live/hub.example.com/privkey.pem", &format!("{dir}/key.pem"));
        let site = replaced(&site, "hub.example.com", "localhost");
        let site = replaced(&site, "proxy_pass http://127.0.0.1:8765;", &format!("proxy_pass http://127.0.0.1:{hub};"));
        Proxy::start_nginx(folder, port, "", &site)
    }

    fn start_nginx(folder: &Path, port: u16, path: &str, servers: &str) -> Proxy {
        let folder = folder.join("nginx");
        fs::create_dir_all(&folder).unwrap();
        certificates(&folder, "localhost");
        let dir = folder.display();
        let conf = format!(
            "daemon off; pid {dir}/pid; error_log {dir}/error.log; {user}\nevents {{}}\nhttp {{\n  access_log off;\n\
             client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;\n\
             {servers}}}\n",
            user = if rustix::process::geteuid().is_root() { "user root;" } else { "" },
        );
        fs::write(folder.join("nginx.conf"), conf).unwrap();
        let nginx = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let log = folder.join("error.log");
        let mut command = Command::new(nginx);
        command.arg("-e").arg(&log).arg("-c").arg(folder.join("nginx.conf"));
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("nginx is installed");
        let proxy = Proxy { child, url: format!("https://localhost:{port}{path}"), authority: folder.join("ca.pem") };
        proxy.wait(port, &log)
    }

    /// Caddy at `https://localhost:PORT`, in front of a hub without TLS on this loopback port. For `localhost` Caddy is its own authority.
    pub fn caddy(folder: &Path, port: u16, hub: u16) -> Proxy {
        let folder = folder.join("caddy");
        fs::create_dir_all(&folder).unwrap();
        let site = replaced(CADDY, "\nhub.example.com {", &format!("\nlocalhost:{port} {{"));
        let site = replaced(&site, "reverse_proxy 127.0.0.1:8765", &format!("reverse_proxy 127.0.0.1:{hub}"));
        // It must neither open other ports nor add its authority to those that this machine trusts.
        let conf = format!("{{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}}\n{site}");
        fs::write(folder.join("Caddyfile"), conf).unwrap();
        let log = folder.join("log");
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile"));
        command.env("XDG_DATA_HOME", folder.join("state")).env("XDG_CONFIG_HOME", folder.join("state"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let child = command.spawn().expect("caddy is installed");
        let authority = folder.join("state/caddy/pki/authorities/local/root.crt");
        let proxy = Proxy { child, url: format!("https://localhost:{port}"), authority };
        proxy.wait(port, &log)
    }

    fn wait(self, port: u16, log: &Path) -> Proxy {
        wait_for(
            "the proxy listens",
            || fs::read_to_string(log).unwrap_or_default(),
            || self.authority.exists().then(|| TcpStream::connect(("127.0.0.1", port)).ok())?,
        );
        self
    }

    /// The hub's `public_url`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of the authority, for `SSL_CERT_FILE`.
    pub fn authority(&self) -> String {
        self.authority.display().to_string()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // At SIGTERM the master of nginx ends its workers too.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap()) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
        self.child.wait().ok();
    }
}

/// The location block of `deploy/` for a hub on this loopback port.
pub fn location(hub: u16) -> String {
    replaced(NGINX_UNDER_PATH, "8765", &hub.to_string())
}

/// A file of `deploy/` with another value in it.
#[track_caller]
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the file has no {from:?}");
    text.replace(from, to)
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
