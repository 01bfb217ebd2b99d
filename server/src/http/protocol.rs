//! `/protocol`: the protocol's documents, for whoever asks. They are the same for everyone and hold no state, so no
//! authentication is asked for; connections are admitted as for everything else.

use bytes::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, VARY,
};
use hyper::{HeaderMap, Method, StatusCode};

use super::answer::{self, Response};
use crate::documents::{Document, Unpacked};

/// Answers a request for a document.
pub(super) fn answer(
    document: Document,
    method: &Method,
    headers: &HeaderMap,
    unpacked: &Unpacked,
) -> Response {
    if !answer::is_read(method) {
        return answer::only_reads();
    }
    let is_packed = accepts_gzip(headers);
    let tag = document.tag(is_packed);
    if names(headers, tag) {
        return described(StatusCode::NOT_MODIFIED, document, tag, Bytes::new());
    }
    let length = if is_packed {
        document.gzip().len()
    } else {
        document.length()
    };
    let body = if method == Method::HEAD {
        Bytes::new()
    } else if is_packed {
        Bytes::from_static(document.gzip())
    } else {
        match unpacked.get(document) {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(%error, ?document, "a document in this binary is damaged");
                return answer::refuse(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
            }
        }
    };
    let mut response = described(StatusCode::OK, document, tag, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if is_packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A response with all that is known of a document but its size.
fn described(code: StatusCode, document: Document, tag: &'static str, body: Bytes) -> Response {
    let mut response = answer::build(code, document.media_type(), body);
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, value| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    put(ETAG, tag);
    // Another version of the gateway may answer next time, so caches have to ask; the tag makes that cheap.
    put(CACHE_CONTROL, "no-cache");
    put(VARY, "Accept-Encoding");
    if let Some(policy) = document.policy() {
        put(CONTENT_SECURITY_POLICY, policy);
    }
    if code == StatusCode::NOT_MODIFIED {
        headers.remove(CONTENT_TYPE);
    }
    response
}

/// Does `If-None-Match` name the tag? Compared weakly, as RFC 9110 wants it for this header.
fn names(headers: &HeaderMap, tag: &str) -> bool {
    elements(headers, IF_NONE_MATCH).any(|named| {
        let named = named.strip_prefix("W/").unwrap_or(named);
        named == "*" || named == tag
    })
}

/// Is gzip welcome? A name counts more than `*`, and a quality of zero means no (RFC 9110, 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for element in elements(headers, ACCEPT_ENCODING) {
        let (coding, parameters) = element.split_once(';').unwrap_or((element, ""));
        let quality = parameters
            .trim()
            .strip_prefix(['q', 'Q'])
            .and_then(|rest| rest.trim_start().strip_prefix('='))
            .map_or(Ok(1.0), |quality| quality.trim().parse::<f32>());
        let is_welcome = quality.is_ok_and(|quality| quality > 0.0);
        match coding.trim() {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                return is_welcome;
            }
            "*" => any = is_welcome,
            _ => {}
        }
    }
    any
}

/// Elements of a header that is a list. Entity tags of ours hold no comma.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn who_welcomes_gzip() {
        for (accepted, expected) in [
            ("", false),
            ("gzip", true),
            ("GZIP", true),
            ("x-gzip", true),
            ("br, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("gzip;q=much", false),
            ("*", true),
            ("*;q=0", false),
            ("*, gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("gzip, *;q=0", true),
            ("identity", false),
            ("gzipped", false),
        ] {
            let headers = headers(&[("accept-encoding", accepted)]);
            assert_eq!(accepts_gzip(&headers), expected, "{accepted:?}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn documents_in_both_codings() {
        let unpacked = Unpacked::default();
        for document in Document::ALL {
            for (accepted, coding, length) in [
                ("identity", None, document.length()),
                ("gzip", Some("gzip"), document.gzip().len()),
            ] {
                let headers = headers(&[("accept-encoding", accepted)]);
                let response = answer(document, &Method::GET, &headers, &unpacked);
                assert_eq!(response.status(), StatusCode::OK);
                let sent = response.headers().clone();
                let text = |name: &str| sent.get(name).and_then(|value| value.to_str().ok());
                assert_eq!(text("content-type"), Some(document.media_type()));
                assert_eq!(text("content-encoding"), coding);
                assert_eq!(text("content-length"), Some(length.to_string().as_str()));
                assert_eq!(text("vary"), Some("Accept-Encoding"));
                assert_eq!(text("cache-control"), Some("no-cache"));
                assert_eq!(text("x-content-type-options"), Some("nosniff"));
                assert_eq!(text("content-security-policy"), document.policy());
                assert_eq!(text("etag"), Some(document.tag(coding.is_some())));
                let body = response.into_body().collect().await.unwrap().to_bytes();
                match coding {
                    None => assert!(body == document.unpack().unwrap(), "{document:?}"),
                    Some(_) => assert!(body == document.gzip(), "{document:?}"),
                }
            }
        }
    }

    #[test]
    fn who_has_it_already() {
        let (plain, packed) = (Document::Page.tag(false), Document::Page.tag(true));
        let weak = format!("W/{plain}");
        let listed = format!("\"other\", {plain}");
        for (accepted, named, code) in [
            ("identity", plain, 304),
            ("identity", weak.as_str(), 304),
            ("identity", listed.as_str(), 304),
            ("identity", "*", 304),
            ("gzip", packed, 304),
            // The other coding is another representation.
            ("gzip", plain, 200),
            ("identity", packed, 200),
            ("identity", "\"other\"", 200),
            ("identity", "", 200),
        ] {
            let headers = headers(&[("accept-encoding", accepted), ("if-none-match", named)]);
            for method in [Method::GET, Method::HEAD] {
                let response = answer(Document::Page, &method, &headers, &Unpacked::default());
                assert_eq!(response.status(), code, "{accepted} {named}");
                assert!(response.headers().contains_key(ETAG), "{accepted} {named}");
            }
        }
    }

    #[test]
    fn nothing_but_reading() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let response = answer(
                Document::Schema,
                &method,
                &HeaderMap::new(),
                &Unpacked::default(),
            );
            assert_eq!(
                response.status(),
                StatusCode::METHOD_NOT_ALLOWED,
                "{method}"
            );
            assert_eq!(response.headers()["allow"], "GET, HEAD");
        }
    }
}
