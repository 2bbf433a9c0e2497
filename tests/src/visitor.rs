//! A browser reduced to what matters to a login: cookies, and which of them go along.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::wire::{self, Answer, Request};

/// Someone with a browser.
#[derive(Clone, Debug)]
pub struct Visitor {
    addr: SocketAddr,
    host: String,
    cookies: BTreeMap<String, Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    value: String,
    strict: bool,
}

/// Where a request of a browser comes from, as `Sec-Fetch-Site` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The address bar.
    AddressBar,
    /// A page of the app.
    SameOrigin,
    /// Another site: `SameSite=Strict` cookies stay behind.
    CrossSite,
}

impl Visitor {
    /// Someone who never was at the app at `addr` before.
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            host: format!("localhost:{}", addr.port()),
            cookies: BTreeMap::new(),
        }
    }

    /// Opens a page from the address bar.
    pub async fn get(&mut self, target: &str) -> Answer {
        self.navigate("GET", target, From::AddressBar).await
    }

    /// Follows a link or a redirect from another site.
    pub async fn get_from_elsewhere(&mut self, target: &str) -> Answer {
        self.navigate("GET", target, From::CrossSite).await
    }

    /// Sends a form of the app's own pages.
    pub async fn post(&mut self, target: &str) -> Answer {
        self.navigate("POST", target, From::SameOrigin).await
    }

    /// Goes somewhere, as a browser goes.
    pub async fn navigate(&mut self, method: &str, target: &str, from: From) -> Answer {
        let site = match from {
            From::AddressBar => "none",
            From::SameOrigin => "same-origin",
            From::CrossSite => "cross-site",
        };
        let mut request = Request::new(method, target)
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        if method == "POST" {
            let origin = match from {
                From::CrossSite => "https://evil.example".to_owned(),
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
    /// When no answer comes.
    pub async fn send(&mut self, mut request: Request, from: From) -> Answer {
        let cookies = self.cookies_from(from);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        let answer = wire::send(self.addr, &self.host, &request).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}: {request:?}"));
        for cookie in answer.all("set-cookie") {
            self.keep(cookie);
        }
        answer
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(|kept| kept.value.as_str())
    }

    /// The names of all cookies.
    pub fn cookie_names(&self) -> impl Iterator<Item = &str> {
        self.cookies.keys().map(String::as_str)
    }

    /// Puts a cookie into the browser, as an attacker might.
    pub fn plant(&mut self, name: &str, value: &str) {
        let kept = Kept {
            value: value.to_owned(),
            strict: false,
        };
        self.cookies.insert(name.to_owned(), kept);
    }

    /// Drops a cookie.
    pub fn forget(&mut self, name: &str) {
        self.cookies.remove(name);
    }

    fn cookies_from(&self, from: From) -> String {
        let goes_along = |kept: &Kept| from != From::CrossSite || !kept.strict;
        self.cookies
            .iter()
            .filter(|(_, kept)| goes_along(kept))
            .map(|(name, kept)| format!("{name}={}", kept.value))
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn keep(&mut self, set_cookie: &str) {
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
        let kept = Kept {
            value: value.to_owned(),
            strict,
        };
        self.cookies.insert(name.to_owned(), kept);
    }
}
