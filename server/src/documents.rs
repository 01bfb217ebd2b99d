//! The protocol's own documents, as `codegen` wrote them and `build.rs` packed them. `http` serves them, the command
//! line writes them to files; both give the same bytes.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use flate2::read::GzDecoder;

/// What the build script knows of a document.
struct Packed {
    gzip: &'static [u8],
    length: usize,
    plain_tag: &'static str,
    gzip_tag: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/documents.rs"));

/// One document about the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    /// Every type as JSON Schema, draft-07.
    Schema,
    /// Every method as OpenRPC.
    OpenRpc,
    /// Every frame as AsyncAPI.
    AsyncApi,
    /// Everything, for people.
    Page,
}

impl Document {
    /// All of them, that for people first.
    pub(crate) const ALL: [Document; 4] = [
        Document::Page,
        Document::Schema,
        Document::OpenRpc,
        Document::AsyncApi,
    ];

    /// The document that is served at `path`.
    pub(crate) fn at(path: &str) -> Option<Document> {
        Self::ALL
            .into_iter()
            .find(|document| document.path() == path)
    }

    /// Where it is served.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Document::Schema => "/protocol/schema.json",
            Document::OpenRpc => "/protocol/openrpc.json",
            Document::AsyncApi => "/protocol/asyncapi.json",
            Document::Page => "/protocol",
        }
    }

    /// Its name as a file, the same as in `schema/dist/`; the page links to the others by these.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Document::Schema => "protocol.schema.json",
            Document::OpenRpc => "openrpc.json",
            Document::AsyncApi => "asyncapi.json",
            Document::Page => "protocol.html",
        }
    }

    /// Its media type. OpenRPC has none of its own.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Document::Schema => "application/schema+json",
            Document::OpenRpc => "application/json; charset=utf-8",
            Document::AsyncApi => "application/vnd.aai.asyncapi+json;version=3.0.0",
            Document::Page => "text/html; charset=utf-8",
        }
    }

    /// The content policy that belongs to it: the page may run its own script and load nothing.
    pub(crate) fn policy(self) -> Option<&'static str> {
        (self == Document::Page).then_some(POLICY)
    }

    /// Its bytes, packed.
    pub(crate) fn gzip(self) -> &'static [u8] {
        self.packed().gzip
    }

    /// Number of its bytes when not packed.
    pub(crate) fn length(self) -> usize {
        self.packed().length
    }

    /// The entity tag of the packed or the plain bytes, quotes included.
    pub(crate) fn tag(self, is_packed: bool) -> &'static str {
        let packed = self.packed();
        if is_packed {
            packed.gzip_tag
        } else {
            packed.plain_tag
        }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// The binary is damaged.
    pub(crate) fn unpack(self) -> io::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(self.length());
        GzDecoder::new(self.gzip()).read_to_end(&mut text)?;
        Ok(text)
    }

    fn packed(self) -> &'static Packed {
        match self {
            Document::Schema => &SCHEMA,
            Document::OpenRpc => &OPENRPC,
            Document::AsyncApi => &ASYNCAPI,
            Document::Page => &PAGE,
        }
    }
}

/// Documents that are being sent unpacked. All readers of one share its bytes, which are gone with the last of them:
/// however many strangers ask, and however slowly they read, each document is in memory at most once.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    texts: [Mutex<Weak<Vec<u8>>>; Document::ALL.len()],
}

/// A share of a text.
struct Share(Arc<Vec<u8>>);

impl AsRef<[u8]> for Share {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Unpacked {
    /// The bytes of a document, unpacked now unless they are in use already.
    ///
    /// # Errors
    /// The binary is damaged.
    pub(crate) fn get(&self, document: Document) -> io::Result<Bytes> {
        let place = &self.texts[document as usize];
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match place.upgrade() {
            Some(text) => text,
            None => {
                let text = Arc::new(document.unpack()?);
                *place = Arc::downgrade(&text);
                text
            }
        };
        Ok(Bytes::from_owner(Share(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_those_of_the_schema() {
        let dist = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/dist");
        for document in Document::ALL {
            let text = document.unpack().unwrap();
            let committed = std::fs::read(dist.join(document.file())).unwrap();
            assert!(text == committed, "{document:?}");
            assert_eq!(text.len(), document.length(), "{document:?}");
            assert_eq!(Document::at(document.path()), Some(document));
            assert_ne!(document.tag(true), document.tag(false));
        }
        assert_eq!(Document::at("/protocol/"), None);
    }

    #[test]
    fn readers_share_one_text() {
        let unpacked = Unpacked::default();
        let (first, second) = (
            unpacked.get(Document::Schema).unwrap(),
            unpacked.get(Document::Schema).unwrap(),
        );
        assert_eq!(first.as_ptr(), second.as_ptr());
        let text = Weak::clone(&unpacked.texts[Document::Schema as usize].lock().unwrap());
        assert_eq!(text.strong_count(), 2);
        drop((first, second));
        assert_eq!(text.strong_count(), 0, "nothing stays");
        assert!(
            unpacked.get(Document::Schema).is_ok(),
            "and it can be had again"
        );
    }

    #[test]
    fn the_policy_is_that_of_the_page() {
        let policy = Document::Page.policy().unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'sha256-",
            "style-src 'sha256-",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(Document::OpenRpc.policy(), None);
    }
}
