//! Packs the protocol's documents for `src/documents.rs`: gzip keeps the binary small, the digests become entity
//! tags, and the page's own content policy becomes a header. Nothing of the schema is interpreted here.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Name of the constant, and of the file in `schema/dist/`.
const DOCUMENTS: [(&str, &str); 4] = [
    ("SCHEMA", "protocol.schema.json"),
    ("OPENRPC", "openrpc.json"),
    ("ASYNCAPI", "asyncapi.json"),
    ("PAGE", "protocol.html"),
];

const POLICY_START: &str = "http-equiv=\"Content-Security-Policy\" content=\"";

fn main() -> Result<(), Box<dyn Error>> {
    let dist = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../schema/dist");
    let out = std::env::var("OUT_DIR")?;
    let mut code = String::new();
    for (name, file) in DOCUMENTS {
        let source = dist.join(file);
        tell_cargo(&source);
        let text = fs::read(&source).map_err(|error| {
            format!(
                "{}: {error}; `cargo run -p codegen` makes it",
                source.display()
            )
        })?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&text)?;
        let packed = Path::new(&out).join(format!("{file}.gz"));
        fs::write(&packed, encoder.finish()?)?;
        let digest =
            Sha256::digest(&text)
                .iter()
                .take(TAG_BYTES)
                .fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
        writeln!(
            code,
            "const {name}: Packed = Packed {{ gzip: include_bytes!({packed:?}), length: {}, plain_tag: \"\\\"{digest}\\\"\", gzip_tag: \"\\\"{digest}-gzip\\\"\" }};",
            text.len()
        )?;
        if name == "PAGE" {
            let policy = policy(&String::from_utf8(text)?).ok_or(
                "protocol.html has no Content-Security-Policy: see codegen/src/emit/page.rs",
            )?;
            writeln!(
                code,
                "const POLICY: &str = \"{policy}; frame-ancestors 'none'\";"
            )?;
        }
    }
    fs::write(Path::new(&out).join("documents.rs"), code)?;
    Ok(())
}

/// Bytes of a digest that make a tag: two texts of one gateway will not meet in 128 bits.
const TAG_BYTES: usize = 16;

/// The policy that the page carries. It holds no character that means anything in a string of Rust.
fn policy(page: &str) -> Option<String> {
    let (_, rest) = page.split_once(POLICY_START)?;
    let (policy, _) = rest.split_once('"')?;
    let policy = policy.replace("&#39;", "'");
    let is_plain = |c: char| c.is_ascii_graphic() && c != '\\' && c != '&' || c == ' ';
    policy.chars().all(is_plain).then_some(policy)
}

#[allow(clippy::print_stdout)] // this is how build scripts speak
fn tell_cargo(source: &Path) {
    println!("cargo::rerun-if-changed={}", source.display());
}
