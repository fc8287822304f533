//! What an nginx can: its version and modules as text in, a value out. `crate::nginx::features` asks the program itself.

use serde::{Deserialize, Serialize};

/// What the renderer uses where it is there, and does without otherwise. From 1.22 to the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Major, minor, patch.
    pub version: (u16, u16, u16),
    /// `keepalive_min_timeout`: a reload costs a busy client no request (1.27.4).
    pub keepalive_min_timeout: bool,
    /// `resolve` in upstreams: a server that moves is found without a reload (1.27.3).
    pub resolve: bool,
    /// `add_header_inherit` (1.29.3).
    pub add_header_inherit: bool,
    /// `http2 on` a server, not a socket (1.25.1).
    pub http2_directive: bool,
    /// QUIC was compiled in.
    pub http3: bool,
    /// The group X25519MLKEM768 (OpenSSL 3.5): any older library refuses the whole configuration, so it is probed.
    pub mlkem: bool,
    /// The njs module can be loaded and does what the guard needs; probed, since it is a file of its own.
    pub njs: bool,
}

impl Features {
    /// Reads `nginx -V` (which begins with what `-v` says). What only a probe tells is false.
    #[must_use]
    pub fn of(output: &str) -> Option<Self> {
        let text = output.split_once("nginx/")?.1;
        let number = text.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let mut parts = number.split('.').map(str::parse);
        let (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) = (parts.next(), parts.next(), parts.next()) else { return None };
        let version = (major, minor, patch);
        Some(Self {
            version,
            keepalive_min_timeout: version >= (1, 27, 4),
            resolve: version >= (1, 27, 3),
            add_header_inherit: version >= (1, 29, 3),
            http2_directive: version >= (1, 25, 1),
            http3: version >= (1, 25, 0) && output.contains("--with-http_v3_module"),
            mlkem: false,
            njs: false,
        })
    }

    /// What an image that is named so probably can: its tag is the version. None for any other tag.
    #[must_use]
    pub fn of_image(reference: &str) -> Option<Self> {
        let (name, tag) = reference.rsplit_once(':')?;
        if name.rsplit('/').next() != Some("nginx") {
            return None;
        }
        Self::of(&format!("nginx/{tag}"))
    }

    /// What every nginx since 1.22 can: for one that cannot be asked.
    #[must_use]
    pub fn least() -> Self {
        Self {
            version: (1, 22, 0),
            keepalive_min_timeout: false,
            resolve: false,
            add_header_inherit: false,
            http2_directive: false,
            http3: false,
            mlkem: false,
            njs: false,
        }
    }

    /// What the catalogue's own nginx can, whatever library it is built with: used until it was asked.
    #[must_use]
    pub fn catalogue() -> Self {
        Self {
            version: (1, 30, 0),
            keepalive_min_timeout: true,
            resolve: true,
            add_header_inherit: true,
            http2_directive: true,
            ..Self::least()
        }
    }
}

impl Default for Features {
    fn default() -> Self {
        Self::catalogue()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_modules_are_read() {
        let old =
            Features::of("nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.20\nconfigure arguments: --with-http_v2_module").unwrap();
        assert_eq!(old, Features { version: (1, 22, 1), ..Features::least() });
        let middle = Features::of("nginx version: nginx/1.26.3 (Debian)\nconfigure arguments: --with-http_v3_module").unwrap();
        assert_eq!(middle, Features { version: (1, 26, 3), http2_directive: true, http3: true, ..Features::least() });
        let new = Features::of("nginx version: nginx/1.30.6\n").unwrap();
        assert_eq!(new, Features { version: (1, 30, 6), ..Features::catalogue() });
        assert_eq!(Features::of_image("nginx:1.30.6"), Some(Features { version: (1, 30, 6), ..Features::catalogue() }));
        assert_eq!(Features::of_image("registry.lan:5000/library/nginx:1.26.3-alpine").map(|found| found.resolve), Some(false));
        for other in ["nginx:stable", "nginx", "angie:1.30.6", "registry.lan:5000/nginx"] {
            assert_eq!(Features::of_image(other), None, "{other}");
        }
        for not_nginx in ["", "nginx version: openresty/1.2.3", "nginx version: nginx/1.2", "nginx/x"] {
            assert_eq!(Features::of(not_nginx), None, "{not_nginx}");
        }
    }
}
