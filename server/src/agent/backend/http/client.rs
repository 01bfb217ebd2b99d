//! HTTP clients of model providers: they go where the configuration says and nowhere else.

use std::time::Duration;

use reqwest::{Client, Url};

/// A client of the server at `url`, which has so long to take a connection.
pub(crate) fn client(url: &Url, connect: Duration) -> reqwest::Result<Client> {
    // ring serves the whole program; that it is installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .connect_timeout(connect)
        // A redirect would carry what is sent to a place that nobody configured.
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(url) {
        client.no_proxy().build()
    } else {
        client.build()
    }
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

/// The innermost reason of an error. The outer ones name the URL, which may hold a key.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if std::ptr::eq(cause, error) {
        "the connection failed".to_owned()
    } else {
        cause.to_string()
    }
}
