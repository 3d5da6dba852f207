//! Requests over HTTP and HTTPS, of servers that are not trusted.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::{Response, StatusCode};
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(30);
/// How often a server may send elsewhere.
const REDIRECTS: u32 = 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no such file there.
    #[error("{0}: not found")]
    NotThere(String),
    /// A network or server that may do better at another time.
    #[error("Cannot get {url}: {reason}")]
    Broken {
        /// What was asked for.
        url: String,
        /// What happened.
        reason: String,
    },
    /// It would be the same at any other time.
    #[error("{0}")]
    Refused(String),
    /// The own disk, not the server.
    #[error("Cannot {verb} {path}: {source}")]
    Local {
        /// What was tried.
        verb: &'static str,
        /// With what.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl Failure {
    /// A request, or the reading of its answer, that has failed.
    pub fn broken(url: &str, reason: impl ToString) -> Failure {
        Failure::Broken { url: url.to_owned(), reason: reason.to_string() }
    }
}

/// Who asks.
#[derive(Debug)]
pub struct Client {
    proxies: BTreeMap<&'static str, String>,
    authorities: PathBuf,
    plain: OnceCell<Agent>,
    secure: OnceCell<Agent>,
}

impl Client {
    /// One that trusts the certificates in `authorities` (PEM), and asks by way of `proxies`.
    pub fn new(proxies: BTreeMap<&'static str, String>, authorities: PathBuf) -> Client {
        Client { proxies, authorities, plain: OnceCell::new(), secure: OnceCell::new() }
    }

    /// Asks for a file.
    ///
    /// # Errors
    /// [`Failure::NotThere`] for 404 and 410; any other answer of 400 and above is broken.
    pub fn get(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
    ) -> Result<Response<Body>, Failure> {
        let mut request = self.agent(url)?.get(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = request.call().map_err(|error| failed(url, error))?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(Failure::NotThere(url.to_owned())),
            // What Range is for: a part that is as long as the file, or longer.
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
            status if status.is_success() || status == StatusCode::NOT_MODIFIED => Ok(response),
            status => Err(Failure::broken(url, format_args!("the server answered {status}"))),
        }
    }

    /// A small file as a whole.
    ///
    /// # Errors
    /// Those of [`Client::get`], and a file above `most` bytes.
    pub fn text(&self, url: &str, most: u64) -> Result<Vec<u8>, Failure> {
        whole(url, self.get(url, &[])?, most)
    }

    /// As [`Client::text`], of what not every server has; some refuse what they do not have (403).
    ///
    /// # Errors
    /// As [`Client::text`].
    pub fn text_if_there(&self, url: &str, most: u64) -> Result<Option<Vec<u8>>, Failure> {
        let answer = self.agent(url)?.get(url).call().map_err(|error| failed(url, error))?;
        match answer.status() {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status if status.is_success() => whole(url, answer, most).map(Some),
            status => Err(Failure::broken(url, format_args!("the server answered {status}"))),
        }
    }

    fn agent(&self, url: &str) -> Result<&Agent, Failure> {
        let (scheme, _) = url.split_once("://").unwrap_or_default();
        let (agent, proxy) = match scheme {
            "http" => (&self.plain, "http_proxy"),
            "https" => (&self.secure, "https_proxy"),
            _ => return Err(Failure::Refused(format!("{url}: neither http: nor https:"))),
        };
        if agent.get().is_none() {
            let _ = agent.set(self.make(scheme == "https", self.proxies.get(proxy))?);
        }
        agent.get().ok_or_else(|| Failure::broken(url, "no agent"))
    }

    fn make(&self, secure: bool, proxy: Option<&String>) -> Result<Agent, Failure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(self.authorities(secure)?);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // What was asked for in a way that nobody can change on its way stays so.
            .https_only(secure)
            .max_redirects(REDIRECTS)
            .user_agent(concat!("vztmpl-dl/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .proxy(self.proxy(proxy)?)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build();
        Ok(config.into())
    }

    /// The node's certificates: an admin may have added some. A plain connection may be sent to a
    /// secure one, so that a node without any still works where it needs none.
    fn authorities(&self, needed: bool) -> Result<RootCerts, Failure> {
        let text = match std::fs::read(&self.authorities) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !needed => Vec::new(),
            Err(source) => {
                let path = self.authorities.display().to_string();
                return Err(Failure::Local { verb: "read", path, source });
            }
        };
        let certificates = ureq::tls::parse_pem(&text).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        Ok(certificates.into())
    }

    fn proxy(&self, text: Option<&String>) -> Result<Option<Proxy>, Failure> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
        let refused = |error| Failure::Refused(format!("Bad proxy {text}: {error}"));
        let proxy = Proxy::new(text).map_err(refused)?;
        let mut builder = Proxy::builder(proxy.protocol()).host(proxy.host()).port(proxy.port());
        if let Some(name) = proxy.username() {
            builder = builder.username(name);
        }
        if let Some(password) = proxy.password() {
            builder = builder.password(password);
        }
        let hosts = self.proxies.get("no_proxy").map(String::as_str).unwrap_or_default();
        for host in hosts.split(',').map(str::trim).filter(|host| !host.is_empty()) {
            builder = builder.no_proxy(host);
        }
        builder.build().map(Some).map_err(refused)
    }
}

/// All of an answer.
fn whole(url: &str, answer: Response<Body>, most: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = answer.into_body().into_reader().take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::broken(url, error))?;
    match bytes.len() as u64 > most {
        true => Err(Failure::Refused(format!("{url} has more than {most} bytes"))),
        false => Ok(bytes),
    }
}

/// An error of the system's in its own words.
fn failed(url: &str, error: ureq::Error) -> Failure {
    match error {
        ureq::Error::Io(error) => Failure::broken(url, error),
        other => Failure::broken(url, other),
    }
}
