//! Tells the linker how to lay out the executable, and packs the protocol's documents for `src/documents.rs`: gzip keeps the binary small, the digests become entity
//! tags, and the page's own content policy becomes a header. Nothing of the schema is interpreted here.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

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
    lay_out()?;
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

/// Target whose linker is known: rustc brings LLD along for it and uses it.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Functions that a start and the common work execute, which `openclaw-load order` lists. Beside each other they take half
/// the memory that they take scattered over the whole binary.
const ORDER: &str = "functions.order";

/// First glibc that understands packed relative relocations.
const PACKED_SINCE: (u32, u32) = (2, 36);

/// Makes release builds smaller. Other targets, and whoever brings a linker or flags of their own, get what rustc does.
fn lay_out() -> Result<(), Box<dyn Error>> {
    for variable in ["RUSTC_LINKER", "CARGO_ENCODED_RUSTFLAGS"] {
        if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            return Ok(());
        }
    }
    let says = |variable: &str, value: &str| std::env::var(variable).is_ok_and(|is| is == value);
    if !says("TARGET", TARGET) || !says("PROFILE", "release") {
        return Ok(());
    }
    let order = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join(ORDER);
    tell_cargo(&order);
    tell_linker(&format!("--symbol-ordering-file={}", order.display()));
    // The list is of one version of the compiler; others find some of the names, or none.
    tell_linker("--no-warn-symbol-ordering");
    // Rust promises no function an address of its own.
    tell_linker("--icf=all");
    if says("HOST", TARGET) && glibc() >= Some(PACKED_SINCE) {
        tell_linker("-zpack-relative-relocs");
    }
    Ok(())
}

/// The C library of this machine, which is what the executable is linked with.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let said = String::from_utf8(said.ok()?.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[allow(clippy::print_stdout)] // this is how build scripts speak
fn tell_linker(option: &str) {
    println!("cargo::rustc-link-arg-bins=-Wl,{option}");
}

#[allow(clippy::print_stdout)]
fn tell_cargo(source: &Path) {
    println!("cargo::rerun-if-changed={}", source.display());
}
