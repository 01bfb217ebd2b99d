//! The URL of a gateway, taken apart.

use std::fmt;

use hyper::Uri;

/// Where a gateway is. Shown as the URL it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
    uri: Uri,
}

/// The text is no URL of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not the URL of a gateway: {why}")]
pub struct BadUrl {
    /// The text.
    pub url: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Endpoint {
    /// Reads `ws://host[:port][/path]` or the same with `wss`. The port is 80 or 443 when absent,
    /// as in any such URL.
    ///
    /// # Errors
    /// See [`BadUrl`].
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        let bad = |why| BadUrl {
            url: url.to_owned(),
            why,
        };
        let uri: Uri = url
            .trim()
            .parse()
            .map_err(|_| bad("expected ws://host:port or wss://host:port"))?;
        let tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(bad("it has to begin with ws:// or wss://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(BadUrl {
                // Not the whole text: it may hold a password.
                url: format!("…@{}", authority.host()),
                why: "a user name or password does not belong in it; pass a token instead",
            });
        }
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.is_empty() {
            return Err(bad("it names no host"));
        }
        let port = match (authority.port_u16(), authority.port()) {
            (Some(0), _) => return Err(bad("0 is no port")),
            (Some(port), _) => port,
            // A colon with something that is no port behind it.
            (None, _) if authority.as_str().len() > host.len() => {
                return Err(bad("the port has to be a number up to 65535"));
            }
            (None, _) => default_port(tls),
        };
        Ok(Self {
            tls,
            host: bare.to_owned(),
            port,
            uri,
        })
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host name or address, IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Value of the `Host` header: the port is left out when it is the scheme's own.
    pub(crate) fn host_header(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == default_port(self.tls) {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// Path and query for the request line.
    pub(crate) fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "wss" } else { "ws" };
        let path = self.path().trim_end_matches('/');
        write!(f, "{scheme}://{}{path}", self.host_header())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_gateways() {
        fn check(url: &str, parts: (bool, &str, u16, &str, &str, &str)) {
            let endpoint = Endpoint::parse(url).unwrap();
            let got = (
                endpoint.is_tls(),
                endpoint.host(),
                endpoint.port(),
                &*endpoint.host_header(),
                endpoint.path(),
                &*endpoint.to_string(),
            );
            assert_eq!(got, parts, "{url}");
        }
        let local = "127.0.0.1:18789";
        check(
            "ws://127.0.0.1:18789",
            (
                false,
                "127.0.0.1",
                18789,
                local,
                "/",
                "ws://127.0.0.1:18789",
            ),
        );
        check(
            " ws://127.0.0.1:18789/\n",
            (
                false,
                "127.0.0.1",
                18789,
                local,
                "/",
                "ws://127.0.0.1:18789",
            ),
        );
        check(
            "wss://gw.example.com",
            (
                true,
                "gw.example.com",
                443,
                "gw.example.com",
                "/",
                "wss://gw.example.com",
            ),
        );
        check(
            "ws://gw.example.com/a/b?c=d",
            (
                false,
                "gw.example.com",
                80,
                "gw.example.com",
                "/a/b?c=d",
                "ws://gw.example.com/a/b?c=d",
            ),
        );
        check(
            "ws://[::1]:80",
            (false, "::1", 80, "[::1]", "/", "ws://[::1]"),
        );
        check(
            "wss://[::1]:80",
            (true, "::1", 80, "[::1]:80", "/", "wss://[::1]:80"),
        );
    }

    proptest::proptest! {
        /// What is shown leads to the same place, whatever it was made from.
        #[test]
        fn shown_endpoints_are_read_back(
            url in "wss?://([a-z]{1,9}(\\.[a-z]{1,5})?|127\\.0\\.0\\.1|\\[::1\\])(:[1-9][0-9]{0,3})?(/[a-z_]{0,5}){0,2}"
        ) {
            let endpoint = Endpoint::parse(&url).unwrap();
            let shown = endpoint.to_string();
            let again = Endpoint::parse(&shown).unwrap();
            proptest::prop_assert_eq!(again.to_string(), shown);
            proptest::prop_assert_eq!(again.is_tls(), endpoint.is_tls());
            proptest::prop_assert_eq!(again.host_header(), endpoint.host_header());
        }

        #[test]
        fn no_text_at_all_makes_it_panic(text in "\\PC{0,40}") {
            let _ = Endpoint::parse(&text);
            let _ = Endpoint::parse(&format!("ws://{text}"));
            let _ = text.parse::<crate::tls::Fingerprint>();
            let _ = crate::wire::read(&text);
        }
    }

    #[test]
    fn other_texts_are_refused_with_a_reason() {
        let cases = [
            ("", "expected ws://"),
            ("localhost:18789", "begin with ws://"),
            ("127.0.0.1", "begin with ws://"),
            ("http://127.0.0.1:18789", "begin with ws://"),
            ("ws://", "expected ws://"),
            ("ws://host:0", "0 is no port"),
            ("ws://host:65536", "port"),
            ("ws://host:x", "port"),
            ("ws://user:secret@host", "token instead"),
            ("ws://a b", "expected ws://"),
        ];
        for (url, words) in cases {
            let error = Endpoint::parse(url).unwrap_err().to_string();
            assert!(error.contains(words), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
