//! The kernel's list of listening sockets, and which process holds one. Reads `/proc`; decides nothing.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::read_text;
use crate::disk;
use crate::error::Result;

/// The state of a socket that waits for connections.
const LISTEN: &str = "0A";
/// No command line or list of groups that is of use is longer.
const MAX_BYTES: u64 = 256 << 10;

/// A socket that waits for connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    /// Where; unspecified is everywhere.
    pub(super) address: IpAddr,
    /// The port.
    pub(super) port: u16,
    /// The kernel's number of the socket.
    pub(super) inode: u64,
}

/// A process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Process {
    /// Its number.
    pub(super) id: u32,
    /// The program's name.
    pub(super) name: String,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// `/proc/…/cgroup`: names its service or its container.
    pub(super) cgroup: String,
}

/// All listening TCP sockets of this machine.
///
/// # Errors
/// When the kernel's list cannot be read.
pub(super) fn listeners() -> Result<Vec<Listener>> {
    let mut all = Vec::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // No file for IPv6 means no IPv6.
        all.extend(read_text(path)?.iter().flat_map(|text| parse(text)));
    }
    Ok(all)
}

/// `/proc/net/tcp` or `tcp6`: local address, state and inode of each line that listens.
fn parse(text: &str) -> Vec<Listener> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if *fields.get(3)? != LISTEN {
            return None;
        }
        let (address, port) = fields.get(1)?.split_once(':')?;
        Some(Listener { address: self::address(address)?, port: u16::from_str_radix(port, 16).ok()?, inode: fields.get(9)?.parse().ok()? })
    };
    text.lines().skip(1).filter_map(line).collect()
}

/// Words of 32 bits in the machine's order, as the kernel prints them.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at * 8)?);
            }
            // A v4 address in v6 clothes is a v4 address.
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// The first process that holds one of these sockets. Only root sees the sockets of others.
pub(super) fn process(inodes: &BTreeSet<u64>) -> Option<Process> {
    let entries = fs::read_dir("/proc").ok()?;
    let mut ids: Vec<u32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // A server's first process has its workers' sockets too, and is the one to stop.
    ids.sort_unstable();
    ids.into_iter().find(|id| holds(*id, inodes)).map(describe)
}

fn holds(id: u32, inodes: &BTreeSet<u64>) -> bool {
    // A process that ended meanwhile, or of somebody else, holds nothing that can be seen.
    let Ok(open) = fs::read_dir(format!("/proc/{id}/fd")) else { return false };
    open.flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|target| inode(&target))
        .any(|inode| inodes.contains(&inode))
}

/// `socket:[158913]`.
fn inode(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn describe(id: u32) -> Process {
    let text = |file: &str| {
        let bytes = disk::read_if_there(Path::new(&format!("/proc/{id}/{file}")), MAX_BYTES).ok().flatten();
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    };
    Process {
        id,
        name: text("comm").trim().to_owned(),
        arguments: text("cmdline").split('\0').map(str::to_owned).collect(),
        cgroup: text("cgroup"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 158913 1 0000000068af57fa 100 0 0 10 0
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1683 1 0000000070c800db 100 0 0 10 0
   3: 020200C0:9E2E 507100CB:0050 06 00000000:00000000 03:00000B72 00000000     0        0 0 3 000000002808db1e
";
    const TCP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1 0
   1: 0000000000000000FFFF00000100007F:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 43 1 0
";

    // The fixtures are of a little-endian machine, as all that Docker has images for.
    #[test]
    fn listening_sockets_are_read_and_connections_are_not() {
        let listener = |address: &str, port, inode| Listener { address: address.parse().unwrap(), port, inode };
        assert_eq!(parse(TCP), [listener("0.0.0.0", 80, 158_913), listener("127.0.0.1", 8080, 1683)]);
        assert_eq!(parse(TCP6), [listener("::", 443, 42), listener("127.0.0.1", 22, 43)]);
        assert_eq!(parse("  sl\n garbage\n 0: zz:0050 x 0A\n"), []);
        assert_eq!(inode(Path::new("socket:[158913]")), Some(158_913));
        assert_eq!(inode(Path::new("/dev/null")), None);
    }

    #[test]
    fn our_own_socket_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let inodes = listeners().unwrap().into_iter().filter(|listener| listener.port == port).map(|listener| listener.inode).collect();
        let found = process(&inodes).unwrap();
        assert_eq!(found.id, std::process::id());
        assert!(!found.arguments.is_empty());
    }
}
