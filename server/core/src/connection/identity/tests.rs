//! The vectors of contract 2.5 and tables over 7a to 7f.

use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;

use super::*;

const NONCE: &str = "11111111-2222-4333-8444-555555555555";
const SIGNED_AT: u64 = 1_769_900_000_000;
const SKEW: u64 = 600_000;
const KEY: &str = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
const ID: &str = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";
const V1: &str =
    "S_0Cd0Es2eGK1W0odsHzXEEFfPBnkR0ig8Z3PqpeIVMTh7hWrkH6b9qOHfv7rDlr4nrs4G_K-pMKYHw0qjKmCg";
const V2: &str =
    "PtEdQb_It_qQqfgVYxR6NgG-wFcWH_V03Bnk3j2brr_gtHW--4O46aSvq0qZWFzL602p21E48r5LOIcwhMyWAQ";
const V1_NODE: &str =
    "XOez57W4Y_5jUOA5jd0qZVLuQ5bmmhZpZgsxsePYzw3HooHxzIIgBpOc93TjN-phS2i9aZR4uSkzokwx2MOPCw";

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&std::array::from_fn(|index| index as u8))
}

fn scopes() -> Vec<String> {
    ["operator.read", "operator.write"]
        .map(str::to_owned)
        .to_vec()
}

fn claim<'a>(scopes: &'a [String], nonce: Option<&'a str>) -> Claim<'a> {
    Claim {
        device_id: ID,
        public_key: KEY,
        signature: if nonce.is_some() { V2 } else { V1 },
        signed_at: SIGNED_AT,
        nonce,
        client_id: "cli",
        client_mode: "cli",
        role: "operator",
        scopes,
        token: Some("tok"),
    }
}

fn challenge() -> Challenge<'static> {
    Challenge {
        nonce: NONCE,
        nonce_required: false,
        now_ms: SIGNED_AT,
        max_skew_ms: SKEW,
    }
}

/// The verdict, which is the same whatever key is kept.
fn verify(claim: &Claim<'_>, challenge: &Challenge<'_>) -> Result<VerifiedDevice, IdentityError> {
    let verdict = claim.verify(challenge, |_| None);
    let another = SigningKey::from_bytes(&[7; 32]);
    for kept in [signing_key(), another].map(|key| key.verifying_key()) {
        assert_eq!(claim.verify(challenge, |_| Some(kept)), verdict);
    }
    verdict
}

/// The key of the vectors as a PEM document.
fn pem() -> String {
    let der: Vec<u8> = [
        SPKI_PREFIX.as_slice(),
        signing_key().verifying_key().as_bytes(),
    ]
    .concat();
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
}

#[test]
fn contract_vectors() {
    let (scopes, none) = (scopes(), []);
    let v1 = claim(&scopes, None);
    let v2 = claim(&scopes, Some(NONCE));
    let node = Claim {
        signature: V1_NODE,
        client_id: "node-host",
        client_mode: "node",
        role: "node",
        scopes: &none,
        token: None,
        ..v1
    };
    let cases = [
        (
            v1,
            format!("v1|{ID}|cli|cli|operator|operator.read,operator.write|1769900000000|tok"),
        ),
        (
            v2,
            format!(
                "v2|{ID}|cli|cli|operator|operator.read,operator.write|1769900000000|tok|{NONCE}"
            ),
        ),
        (node, format!("v1|{ID}|node-host|node|node||1769900000000|")),
    ];
    for (claim, payload) in cases {
        assert_eq!(claim.payload(), payload);
        let device = verify(&claim, &challenge()).unwrap();
        assert_eq!((device.id(), device.public_key()), (ID, KEY));
    }
}

#[test]
fn forms_of_keys_and_signatures() {
    let standard = |text: &str| text.replace('-', "+").replace('_', "/");
    let pem = pem();
    let keys = [
        KEY.to_owned(),
        format!("{KEY}="),
        standard(KEY),
        format!("{}=", standard(KEY)),
        format!(" {KEY}\n"),
        // The last character carries two bits that no byte takes.
        format!("{}h", &KEY[..KEY.len() - 1]),
        pem.clone(),
        pem.replace('\n', "\r\n"),
        pem.replace('\n', ""),
        format!("my key:\n{pem}"),
    ];
    let signatures = [
        V2.to_owned(),
        format!("{V2}=="),
        standard(V2),
        format!("{}==", standard(V2)),
    ];
    let scopes = scopes();
    for key in &keys {
        for signature in &signatures {
            let claim = Claim {
                public_key: key,
                signature,
                ..claim(&scopes, Some(NONCE))
            };
            let device = verify(&claim, &challenge())
                .unwrap_or_else(|error| panic!("{key} {signature}: {error}"));
            assert_eq!(device.public_key(), KEY);
        }
    }
}

#[test]
fn checks_in_order() {
    use IdentityError::{
        Expired, Mismatch, NonceMismatch, NonceRequired, SignatureInvalid, WeakKey,
    };

    let scopes = scopes();
    let good = claim(&scopes, Some(NONCE));
    let old = claim(&scopes, None);
    let upper = ID.to_uppercase();
    let short = BASE64.encode([7_u8; 31]);
    let short_id = sha256_hex([7_u8; 31]);
    let weak = BASE64.encode([0_u8; 32]);
    let weak_id = sha256_hex([0_u8; 32]);
    // y = 2 is on no point of the curve.
    let no_point: [u8; 32] = std::array::from_fn(|index| if index == 0 { 2 } else { 0 });
    let (off_curve, off_curve_id) = (BASE64.encode(no_point), sha256_hex(no_point));
    let rsa = "-----BEGIN PUBLIC KEY-----\nMFww\n-----END PUBLIC KEY-----";
    let rsa_id = sha256_hex(BASE64.decode("MFww").unwrap());
    let long_signature = [V2, "AAAA"].concat();
    let blank_signature = BASE64.encode([7_u8; 64]);
    let other_scopes = [scopes[1].clone(), scopes[0].clone()];

    let same = |claim| (claim, challenge());
    let late = |now_ms| {
        (
            good,
            Challenge {
                now_ms,
                ..challenge()
            },
        )
    };
    let strict = |claim| {
        (
            claim,
            Challenge {
                nonce_required: true,
                ..challenge()
            },
        )
    };
    let cases = [
        ("good", same(good), None),
        ("v1 where the nonce is optional", same(old), None),
        ("good where it is not", strict(good), None),
        (
            "other id",
            same(Claim {
                device_id: &short_id,
                ..good
            }),
            Some(Mismatch),
        ),
        (
            "upper case id",
            same(Claim {
                device_id: &upper,
                ..good
            }),
            Some(Mismatch),
        ),
        (
            "no base64",
            same(Claim {
                public_key: "!",
                ..good
            }),
            Some(Mismatch),
        ),
        (
            "empty PEM",
            same(Claim {
                public_key: "BEGIN",
                ..good
            }),
            Some(Mismatch),
        ),
        (
            "mismatch before expiry",
            (
                Claim {
                    device_id: "x",
                    ..good
                },
                Challenge {
                    now_ms: 0,
                    ..challenge()
                },
            ),
            Some(Mismatch),
        ),
        ("at the edge, old", late(SIGNED_AT + SKEW), None),
        (
            "over the edge, old",
            late(SIGNED_AT + SKEW + 1),
            Some(Expired),
        ),
        ("at the edge, new", late(SIGNED_AT - SKEW), None),
        (
            "over the edge, new",
            late(SIGNED_AT - SKEW - 1),
            Some(Expired),
        ),
        (
            "expiry before nonce",
            (
                old,
                Challenge {
                    now_ms: 0,
                    nonce_required: true,
                    ..challenge()
                },
            ),
            Some(Expired),
        ),
        ("no nonce", strict(old), Some(NonceRequired)),
        (
            "blank nonce",
            strict(Claim {
                nonce: Some(" \t"),
                ..old
            }),
            Some(NonceRequired),
        ),
        (
            "blank nonce where optional is v1",
            same(Claim {
                nonce: Some(" "),
                ..old
            }),
            None,
        ),
        (
            "blanks around the nonce",
            same(Claim {
                nonce: Some(" 11111111-2222-4333-8444-555555555555 "),
                ..good
            }),
            None,
        ),
        (
            "other nonce",
            same(Claim {
                nonce: Some("00000000-0000-4000-8000-000000000000"),
                ..good
            }),
            Some(NonceMismatch),
        ),
        (
            "nonce before signature",
            same(Claim {
                nonce: Some("x"),
                signature: "x",
                ..good
            }),
            Some(NonceMismatch),
        ),
        (
            "v1 signature with nonce",
            same(Claim {
                signature: V1,
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "v2 signature without",
            same(Claim {
                signature: V2,
                ..old
            }),
            Some(SignatureInvalid),
        ),
        (
            "other bytes",
            same(Claim {
                signature: &blank_signature,
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "no signature",
            same(Claim {
                signature: "",
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "signature too long",
            same(Claim {
                signature: &long_signature,
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "other order of scopes",
            same(Claim {
                scopes: &other_scopes,
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "other token",
            same(Claim {
                token: None,
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "other client",
            same(Claim {
                client_id: "test",
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "other mode",
            same(Claim {
                client_mode: "ui",
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "other role",
            same(Claim {
                role: "node",
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "other time",
            same(Claim {
                signed_at: SIGNED_AT + 1,
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "31 bytes",
            same(Claim {
                device_id: &short_id,
                public_key: &short,
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "other kind of key",
            same(Claim {
                device_id: &rsa_id,
                public_key: rsa,
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "no point",
            same(Claim {
                device_id: &off_curve_id,
                public_key: &off_curve,
                ..good
            }),
            Some(SignatureInvalid),
        ),
        (
            "weak key",
            same(Claim {
                device_id: &weak_id,
                public_key: &weak,
                ..good
            }),
            Some(WeakKey),
        ),
    ];
    for (name, (claim, challenge), refused) in cases {
        assert_eq!(verify(&claim, &challenge).err(), refused, "{name}");
    }
}

/// Made with the identity point as key, for which this "signature" satisfies the lax equation for every message.
#[test]
fn forged_signature_of_a_weak_key() {
    let key: [u8; 32] = std::array::from_fn(|index| u8::from(index == 0));
    let mut forged = [0_u8; 64];
    forged[0] = 1;
    let (id, key) = (sha256_hex(key), BASE64.encode(key));
    let signature = BASE64.encode(forged);
    let claim = Claim {
        device_id: &id,
        public_key: &key,
        signature: &signature,
        ..claim(&[], Some(NONCE))
    };
    assert_eq!(verify(&claim, &challenge()), Err(IdentityError::WeakKey));
}

proptest! {
    // Signing and verifying take milliseconds without optimisation; each case changes one of seven fields.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is signed verifies; with any one field changed it does not.
    #[test]
    fn signs_every_field(
        seed: [u8; 32],
        texts in proptest::array::uniform4("[a-z|,.]{0,6}"),
        scopes in proptest::collection::vec("[a-z.]{1,6}", 0..3),
        with_nonce: bool,
        changed in 0_usize..7,
    ) {
        let key = SigningKey::from_bytes(&seed);
        let device = VerifiedDevice::of_key(key.verifying_key().to_bytes());
        let [client_id, client_mode, role, token] = &texts;
        let unsigned = Claim {
            device_id: device.id(),
            public_key: device.public_key(),
            signature: "",
            signed_at: SIGNED_AT,
            nonce: with_nonce.then_some(NONCE),
            client_id,
            client_mode,
            role,
            scopes: &scopes,
            token: Some(token),
        };
        let signature = BASE64.encode(key.sign(unsigned.payload().as_bytes()).to_bytes());
        let signed = Claim { signature: &signature, ..unsigned };
        prop_assert_eq!(verify(&signed, &challenge()), Ok(device.clone()));

        let longer: Vec<String> = scopes.iter().cloned().chain(["x".to_owned()]).collect();
        let (a, b, c, d) = (format!("{client_id}x"), format!("{client_mode}x"), format!("{role}x"), format!("{token}x"));
        let tampered = match changed {
            0 => Claim { client_id: &a, ..signed },
            1 => Claim { client_mode: &b, ..signed },
            2 => Claim { role: &c, ..signed },
            3 => Claim { scopes: &longer, ..signed },
            4 => Claim { token: Some(&d), ..signed },
            5 => Claim { signed_at: SIGNED_AT + 1, ..signed },
            _ => Claim { nonce: if with_nonce { None } else { Some(NONCE) }, ..signed },
        };
        prop_assert_eq!(verify(&tampered, &challenge()), Err(IdentityError::SignatureInvalid));
    }
}
