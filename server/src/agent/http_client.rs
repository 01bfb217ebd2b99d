//! HTTP clients of services that the configuration names: models and servers of tools.

use std::time::Duration;

use reqwest::{Client, Url};

/// An address of the web; none for what is no URL with a host under `http` or `https`.
pub(super) fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// A client for one address. It follows no redirects: they would carry what is sent to a place that nobody configured.
///
/// # Errors
/// What the system says.
pub(super) fn client(url: &Url, connect: Duration) -> Result<Client, reqwest::Error> {
    // ring serves the whole program; that it is installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = Client::builder()
        .connect_timeout(connect)
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(url) {
        client = client.no_proxy();
    }
    client.build()
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
        Some("localhost") => true,
        Some(host) => host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}
