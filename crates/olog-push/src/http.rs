//! One bounded HTTP call. No other module uses the HTTP client.
//!
//! A call sends JSON by POST and returns the status and the whole answer, or an error that says which step failed. It ends after
//! [`CALL_MAX`], reads at most [`ANSWER_MAX`] bytes, and never follows a redirect, because the body holds a credential.
//! Connections stay open for the next call. The client and the system's root certificates are loaded by the first call, so that a
//! daemon that pushes nothing does not pay for them.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::{Unit, keys};
use olog_daemon::config::Table;
use olog_daemon::secret::Secret;
use olog_proto::name::is_unprintable;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

/// A call is over after this, from the first byte of the connection to the last of the answer.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer: WxPusher's has a row of about 200 bytes for each of 2,000 receivers.
const ANSWER_MAX: usize = 1024 * 1024;
/// Characters of a service's words that are kept.
pub(crate) const WORDS_MAX: usize = 200;

/// Where and how to call.
#[derive(Debug)]
pub(crate) struct Http {
    proxy: Option<reqwest::Proxy>,
    client: OnceLock<Result<reqwest::Client, String>>,
}

/// A service's address as a channel has it: `api_url` and `proxy`, and the client that goes there.
pub(crate) struct Endpoint {
    /// Scheme and host, without a slash at the end; empty where another key holds the whole URL.
    pub(crate) api_url: String,
    pub(crate) proxy: Option<Secret>,
    pub(crate) http: Http,
}

/// Without the client: it would show the proxy's password.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("api_url", &self.api_url).field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

/// Calls go the same way.
impl PartialEq for Endpoint {
    fn eq(&self, other: &Endpoint) -> bool {
        (&self.api_url, &self.proxy) == (&other.api_url, &other.proxy)
    }
}

impl Endpoint {
    /// Takes `api_url` and `proxy`; `None` when one of them is wrong, and reported. Without a usual `api_url` there is no such
    /// key: another holds the whole URL.
    pub(crate) fn parse(table: &mut Table, usual: Option<&str>) -> Option<Endpoint> {
        table.declare(keys::HTTP);
        if usual.is_some() {
            table.declare(keys::HTTP_ADDRESS);
        }
        let given = usual.and_then(|usual| table.take_as("api_url", |text| service_url(text, usual)));
        let api_url = given.unwrap_or_else(|| usual.unwrap_or_default().to_owned());
        let proxy = table.take_as("proxy", |text| Http::new(Some(text)).map(|_| Secret::new(text))).flatten();
        if usual.is_some() {
            table.show("api_url", &api_url);
        }
        if let Some(proxy) = &proxy {
            table.show("proxy", url_masked(proxy.reveal()));
        }
        let http = Http::new(proxy.as_ref().map(Secret::reveal)).ok()?;
        Some(Endpoint { api_url, proxy, http })
    }
}

/// A request, ready to go.
#[derive(Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Method {
    Get,
    #[default]
    Post,
    Put,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

impl Http {
    /// Through this proxy, or where the environment says.
    pub(crate) fn new(proxy: Option<&str>) -> Result<Http, String> {
        let proxy = match proxy {
            None => None,
            Some(url) => {
                let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
                if !matches!(scheme, "http" | "https") {
                    return Err("expected a proxy as http://[USER:PASSWORD@]HOST:PORT".to_owned());
                }
                Some(reqwest::Proxy::all(url).map_err(|_| "this is not a proxy's URL".to_owned())?)
            }
        };
        Ok(Http { proxy, client: OnceLock::new() })
    }

    /// POSTs `json` to `url`.
    pub(crate) async fn post(&self, url: &str, json: Vec<u8>) -> Result<Reply, String> {
        let client = self.client(url)?;
        self.exchange(client.post(url).header(CONTENT_TYPE, "application/json; charset=utf-8").body(json)).await
    }

    /// Makes this call.
    pub(crate) async fn call(&self, call: &Call) -> Result<Reply, String> {
        let client = self.client(&call.url)?;
        let request = match call.method {
            Method::Get => client.get(&call.url),
            Method::Post => client.post(&call.url),
            Method::Put => client.put(&call.url),
        };
        let request = call.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        self.exchange(request.body(call.body.clone())).await
    }

    /// GETs `url`.
    pub(crate) async fn get(&self, url: &str) -> Result<Reply, String> {
        self.exchange(self.client(url)?.get(url)).await
    }

    fn client(&self, url: &str) -> Result<&reqwest::Client, String> {
        self.client.get_or_init(|| self.build(url)).as_ref().map_err(Clone::clone)
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Reply, String> {
        let call = async {
            let mut response = request.send().await.map_err(in_words)?;
            let status = response.status().as_u16();
            let retry_after = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.trim().parse().ok())
                .map(Duration::from_secs);
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(in_words)? {
                if body.len() + chunk.len() > ANSWER_MAX {
                    return Err(format!("the answer is longer than {ANSWER_MAX} bytes"));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Reply { status, retry_after, body })
        };
        tokio::time::timeout(CALL_MAX, call)
            .await
            .unwrap_or_else(|_| Err(format!("no whole answer within {} s", CALL_MAX.as_secs())))
    }

    fn build(&self, url: &str) -> Result<reqwest::Client, String> {
        let url = url::Url::parse(url).map_err(|_| "api_url is not a URL".to_owned())?;
        let mut roots = rustls::RootCertStore::empty();
        let proxied_by_tls = self.proxy.is_some();
        if url.scheme() == "https" || proxied_by_tls {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("this system has no trusted certificates: install ca-certificates".to_owned());
            }
        }
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CALL_MAX)
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(90))
            .pool_max_idle_per_host(1)
            .user_agent(concat!("olog/", env!("CARGO_PKG_VERSION")));
        let loopback = url.host().is_some_and(|host| match host {
            url::Host::Domain(name) => name == "localhost",
            url::Host::Ipv4(ip) => ip.is_loopback(),
            url::Host::Ipv6(ip) => ip.is_loopback(),
        });
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        } else if loopback {
            builder = builder.no_proxy();
        }
        builder.build().map_err(in_words)
    }
}

/// `https://HOST[:PORT][/PREFIX]` without what would carry a secret.
pub(crate) fn service_url(text: &str, usual: &str) -> Result<String, String> {
    let expected = || format!("expected the service's scheme and host, like {usual:?}");
    let url = url::Url::parse(text.trim()).map_err(|_| expected())?;
    let plain =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
        return Err(expected());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Scheme and host of a secret URL.
pub(crate) fn url_masked(text: &str) -> String {
    let url = url::Url::parse(text).ok();
    let host = url.as_ref().and_then(|url| Some((url.scheme(), url.host_str()?, url.port())));
    match host {
        Some((scheme, host, Some(port))) => format!("{scheme}://{host}:{port}/…"),
        Some((scheme, host, None)) => format!("{scheme}://{host}/…"),
        None => "…".to_owned(),
    }
}

/// What a service said, on one line and bounded.
pub(crate) fn one_line(words: &str) -> String {
    let line: String = words.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect();
    Unit::Characters.cut(line.trim(), WORDS_MAX)
}

/// The whole chain of causes, without the URL (some services' URLs are credentials).
fn in_words(error: reqwest::Error) -> String {
    olog_daemon::failure::chain(&error.without_url())
}
