//! A minimal browser: it stores cookies and sends them according to `SameSite`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::wire::{self, RawResponse, Request};

/// A visitor with a browser.
#[derive(Clone, Debug)]
pub struct Visitor {
    addr: SocketAddr,
    host: String,
    cookies: BTreeMap<String, StoredCookie>,
}

#[derive(Clone, Debug)]
struct StoredCookie {
    value: String,
    strict: bool,
}

/// The site that initiates a request (`Sec-Fetch-Site`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// The visitor enters the URL.
    AddressBar,
    /// A page of the application.
    SameOrigin,
    /// Another site. `SameSite=Strict` cookies are not sent.
    CrossSite,
}

impl Visitor {
    /// Creates a visitor of the application at `addr`, without cookies.
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            host: format!("localhost:{}", addr.port()),
            cookies: BTreeMap::new(),
        }
    }

    /// Opens a page from the address bar.
    pub async fn get(&mut self, target: &str) -> RawResponse {
        self.navigate("GET", target, Initiator::AddressBar).await
    }

    /// Follows a link or a redirect from another site.
    pub async fn get_cross_site(&mut self, target: &str) -> RawResponse {
        self.navigate("GET", target, Initiator::CrossSite).await
    }

    /// Submits a form on a page of the application.
    pub async fn post(&mut self, target: &str) -> RawResponse {
        self.navigate("POST", target, Initiator::SameOrigin).await
    }

    /// Sends a request with the headers of a browser navigation.
    pub async fn navigate(&mut self, method: &str, target: &str, from: Initiator) -> RawResponse {
        let site = match from {
            Initiator::AddressBar => "none",
            Initiator::SameOrigin => "same-origin",
            Initiator::CrossSite => "cross-site",
        };
        let mut request = Request::new(method, target)
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        if method == "POST" {
            let origin = match from {
                Initiator::CrossSite => "https://evil.example".to_owned(),
                _ => format!("http://{}", self.host),
            };
            request = request.header("origin", origin).body("");
        }
        self.send(request, from).await
    }

    /// Sends a request with the stored cookies, and stores the cookies of the response.
    ///
    /// # Panics
    ///
    /// If there is no response.
    pub async fn send(&mut self, mut request: Request, from: Initiator) -> RawResponse {
        let cookies = self.cookies_from(from);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        let response = wire::send(self.addr, &self.host, &request).await;
        let response = response.unwrap_or_else(|error| panic!("{error}: {request:?}"));
        for cookie in response.all("set-cookie") {
            self.store(cookie);
        }
        response
    }

    /// Returns the value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(|cookie| cookie.value.as_str())
    }

    /// Returns the names of all cookies.
    pub fn cookie_names(&self) -> impl Iterator<Item = &str> {
        self.cookies.keys().map(String::as_str)
    }

    /// Sets a cookie, as an attacker could.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        let cookie = StoredCookie {
            value: value.to_owned(),
            strict: false,
        };
        self.cookies.insert(name.to_owned(), cookie);
    }

    /// Deletes a cookie.
    pub fn delete_cookie(&mut self, name: &str) {
        self.cookies.remove(name);
    }

    fn cookies_from(&self, from: Initiator) -> String {
        let is_sent = |cookie: &StoredCookie| from != Initiator::CrossSite || !cookie.strict;
        self.cookies
            .iter()
            .filter(|(_, cookie)| is_sent(cookie))
            .map(|(name, cookie)| format!("{name}={}", cookie.value))
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn store(&mut self, set_cookie: &str) {
        let mut parts = set_cookie.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let attributes: Vec<_> = parts.map(str::to_ascii_lowercase).collect();
        if attributes.iter().any(|attribute| attribute == "max-age=0") {
            self.cookies.remove(name);
            return;
        }
        let strict = attributes
            .iter()
            .any(|attribute| attribute == "samesite=strict");
        let cookie = StoredCookie {
            value: value.to_owned(),
            strict,
        };
        self.cookies.insert(name.to_owned(), cookie);
    }
}
