//! What there is on this host: modes of files, and who answers at the port and the socket.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::paths::{Environment, Paths};

/// How long the port may take to answer.
const PORT_TIME: Duration = Duration::from_secs(2);

/// Who answers at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Gateway,
    SomebodyElse,
    Nobody,
}

/// Modes of what has to be private, where it exists.
pub(super) fn modes(paths: &Paths, environment: &Environment) -> Vec<(PathBuf, u32)> {
    let identity = environment.home.join(".openclaw/identity/device.json");
    [
        paths.state_dir.clone(),
        paths.config_file.clone(),
        paths.last_good_config_file(),
        paths.store_dir(),
        paths.identity_dir().join("device-auth.json"),
        identity,
    ]
    .into_iter()
    .filter_map(|path| {
        let mode = fs::metadata(&path).ok()?.permissions().mode();
        Some((path, mode))
    })
    .collect()
}

pub(super) fn who_is_at_port(port: u16) -> Answer {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpStream::connect_timeout(&address, PORT_TIME) {
        Ok(stream) => {
            // Without the limits a silent listener would hold the command up; then it is not asked.
            let limited = stream.set_read_timeout(Some(PORT_TIME)).is_ok();
            ask(limited.then_some(stream))
        }
        Err(_) => Answer::Nobody,
    }
}

pub(super) fn who_is_at_socket(path: &Path) -> Answer {
    if !path.exists() {
        return Answer::Nobody;
    }
    match UnixStream::connect(path) {
        Ok(stream) => {
            let limited = stream.set_read_timeout(Some(PORT_TIME)).is_ok();
            ask(limited.then_some(stream))
        }
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            // A socket that a gateway has left behind, or no socket at all.
            let is_file = fs::metadata(path).is_ok_and(|file| file.is_file() || file.is_dir());
            if is_file {
                Answer::SomebodyElse
            } else {
                Answer::Nobody
            }
        }
        Err(_) => Answer::SomebodyElse,
    }
}

/// Is it a gateway? Asks for its liveness.
fn ask(stream: Option<impl Read + Write>) -> Answer {
    const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    /// More than the answer has.
    const ENOUGH: u64 = 4096;
    let Some(mut stream) = stream else {
        return Answer::SomebodyElse;
    };
    let mut text = Vec::new();
    let asked = stream
        .write_all(REQUEST)
        .and_then(|()| stream.take(ENOUGH).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    match asked {
        Ok(_) if text.starts_with("HTTP/1.1 200") && text.contains(r#""status":"live""#) => {
            Answer::Gateway
        }
        _ => Answer::SomebodyElse,
    }
}
