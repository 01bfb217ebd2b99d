//! TLS to a gateway: certificates judged by the operating system's roots, or by a pin.
//!
//! A gateway at home signs its own certificate, so a client may pin its SHA-256 fingerprint
//! instead of asking an authority (contract 11.5). With a pin nothing but the certificate itself
//! counts: neither its name nor its dates.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_platform_verifier::Verifier;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// SHA-256 of a certificate's DER form. Shown as lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// The text is no SHA-256 fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a TLS fingerprint is 64 hexadecimal digits (SHA-256), with or without colons")]
pub struct BadFingerprint;

impl Fingerprint {
    /// The fingerprint of a certificate in DER form.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    /// Tolerates what people paste: `sha256:` in front, capitals, colons and spaces between.
    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let text = text.trim().to_ascii_lowercase();
        let text = text.strip_prefix("sha256:").unwrap_or(&text);
        let digits: Vec<u8> = text
            .chars()
            .filter_map(|c| c.to_digit(16))
            .filter_map(|digit| u8::try_from(digit).ok())
            .collect();
        let (pairs, rest) = digits.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(BadFingerprint);
        }
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        bytes.try_into().map(Self).map_err(|_| BadFingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The gateway's certificate is not the pinned one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gateway's TLS certificate has fingerprint {actual}, not the pinned {pinned}")]
pub struct FingerprintMismatch {
    /// The pin.
    pub pinned: Fingerprint,
    /// The fingerprint of the certificate that was shown.
    pub actual: Fingerprint,
}

/// Why there is no encrypted connection.
#[derive(Debug)]
pub(crate) enum TlsError {
    Mismatch(FingerprintMismatch),
    Other(io::Error),
}

/// Makes TLS connections. Building one reads the operating system's certificates, so it is kept.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl Tls {
    /// Blocks on disk unless there is a pin.
    pub(crate) fn new(pin: Option<Fingerprint>) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match pin {
            Some(pinned) => Arc::new(Pinned {
                pinned,
                provider: Arc::clone(&provider),
            }),
            None => Arc::new(Verifier::new(Arc::clone(&provider))?),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous() // the name of the step; neither verifier accepts just anything
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(crate) async fn connect<S>(&self, host: &str, socket: S) -> Result<TlsStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|e| TlsError::Other(io::Error::new(io::ErrorKind::InvalidInput, e)))?;
        self.0
            .connect(name, socket)
            .await
            .map_err(|error| match mismatch_in(&error) {
                Some(mismatch) => TlsError::Mismatch(mismatch),
                None => TlsError::Other(error),
            })
    }
}

/// What [`Pinned`] said, out of the layers that rustls and tokio put around it.
fn mismatch_in(error: &io::Error) -> Option<FingerprintMismatch> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::Other(OtherError(inner)) => inner.downcast_ref().copied(),
        _ => None,
    }
}

/// Accepts one certificate, whoever signed it.
#[derive(Debug)]
struct Pinned {
    pinned: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let actual = Fingerprint::of(end_entity);
        if actual == self.pinned {
            return Ok(ServerCertVerified::assertion());
        }
        let mismatch = FingerprintMismatch {
            pinned: self.pinned,
            actual,
        };
        Err(rustls::Error::Other(OtherError(Arc::new(mismatch))))
    }

    // The peer still has to prove that it holds the certificate's key.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::fake::self_signed;

    #[test]
    fn fingerprints_are_read_as_people_paste_them() {
        let hex = "00ff".repeat(16);
        let expected: Fingerprint = hex.parse().unwrap();
        assert_eq!(expected.to_string(), hex);
        let colons: Vec<String> = hex
            .to_uppercase()
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8(pair.to_vec()).unwrap())
            .collect();
        for text in [
            colons.join(":"),
            format!("sha256:{hex}"),
            format!(" SHA256:{}\n", colons.join(" ")),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "00", &hex[1..], &format!("{hex}0"), &format!("{hex}00")] {
            assert_eq!(text.parse::<Fingerprint>(), Err(BadFingerprint), "{text}");
        }
    }

    async fn connect(tls: &Tls, acceptor: &TlsAcceptor) -> Result<Vec<u8>, TlsError> {
        let (near, far) = tokio::io::duplex(4096);
        let server = async {
            if let Ok(mut stream) = acceptor.accept(far).await {
                stream.write_all(b"hello").await.unwrap();
                stream.shutdown().await.unwrap();
            }
        };
        let client = async {
            // The name is not that of the certificate.
            let mut stream = tls.connect("127.0.0.1", near).await?;
            let mut got = Vec::new();
            stream.read_to_end(&mut got).await.unwrap();
            Ok(got)
        };
        tokio::join!(client, server).0
    }

    #[tokio::test]
    async fn a_pin_decides_alone() {
        let (acceptor, certificate) = self_signed();
        let pin = Fingerprint::of(&certificate);
        let tls = Tls::new(Some(pin)).unwrap();
        assert_eq!(connect(&tls, &acceptor).await.unwrap(), b"hello");

        let (other, shown) = self_signed();
        match connect(&tls, &other).await {
            Err(TlsError::Mismatch(mismatch)) => {
                assert_eq!(mismatch.pinned, pin);
                assert_eq!(mismatch.actual, Fingerprint::of(&shown));
            }
            outcome => panic!("{outcome:?}"),
        }
    }

    #[tokio::test]
    async fn without_a_pin_a_certificate_of_its_own_is_refused() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // Machines without any root certificate cannot build the verifier at all.
        if Verifier::new(provider).is_err() {
            return;
        }
        let (acceptor, _) = self_signed();
        let tls = Tls::new(None).unwrap();
        assert!(matches!(
            connect(&tls, &acceptor).await,
            Err(TlsError::Other(_))
        ));
    }
}
