//! The frame around the sites: our own `nginx.conf`, or the head of nginx-proxy's one file; and the marker that tells which
//! generation runs.

use super::guard;
use super::host::{acme, listen, listen_http, listen_quic, owners_page};
use super::location::user_file;
use super::settings::{Arrangement, ProxySettings};
use super::shared::{self, access_log};
use super::writer::{Param, Text, Unsafe};
use super::{CERTS, MARKER_PORT, PAGES};

/// `nginx.conf`; includes are relative to its own folder. `quic`: a site speaks HTTP/3.
pub(super) fn nginx_conf(settings: &ProxySettings, quic: bool) -> Result<String, Unsafe> {
    let mut text = Text::default();
    text.remark("Written by Summoner; changes are lost. See wiki/proxy.md.");
    text.ours("user nginx");
    text.ours("pid /run/nginx.pid");
    text.ours("worker_processes auto");
    text.ours("worker_rlimit_nofile 8192");
    text.remark("Long: a reload must not cut an editor's or a chat's connection.");
    text.ours("worker_shutdown_timeout 1h");
    text.ours("error_log /dev/stderr notice");
    if let Some(guard) = &settings.guard {
        guard::main(&mut text, guard);
    }
    text.block("events", &[], |text| text.ours("worker_connections 4096"));
    let mut inside = Text::at_depth(1);
    general(&mut inside);
    shared::write(&mut inside, settings)?;
    unknown(&mut inside, settings, quic)?;
    inside.ours("include marker.conf");
    for file in &settings.conf {
        user_file(&mut inside, "a file of conf.d", file)?;
    }
    inside.ours("include hosts/*.conf");
    text.block("http", &[], |text| text.append(&inside));
    Ok(text.finish())
}

/// The head of nginx-proxy's one file: a stock `nginx.conf` stands around it.
pub(super) fn head(settings: &ProxySettings, quic: bool) -> Result<String, Unsafe> {
    let mut text = Text::default();
    text.remark("Written by Summoner; changes are lost. See wiki/proxy.md.");
    shared::write(&mut text, settings)?;
    unknown(&mut text, settings, quic)?;
    // nginx reads them by itself; named here, an edit makes another generation, and so a reload.
    for file in &settings.conf {
        text.note("hash of a file of conf.d", &super::fingerprint(&file.fingerprint)?);
    }
    Ok(text.finish())
}

/// The server that says which generation runs; it is not published.
pub(super) fn marker(id: &str, settings: &ProxySettings) -> String {
    let mut text = Text::default();
    // The id is our own hash: hexadecimal digits.
    let id = Param::data("generation", id).unwrap_or_else(|_| Param::ours(""));
    text.block("server", &[], |text| {
        let address = if settings.marker_local { Param::ours("127.0.0.1:") } else { Param::ours("") };
        text.line("listen", &[address.then(&Param::number(MARKER_PORT.into()))]);
        text.ours("access_log off");
        text.ours("default_type text/plain");
        text.line("return", &[Param::ours("200"), id]);
    });
    text.finish()
}

fn general(text: &mut Text) {
    text.ours("include /etc/nginx/mime.types");
    text.ours("default_type application/octet-stream");
    text.ours("sendfile on");
    text.ours("tcp_nopush on");
    text.ours("keepalive_timeout 75s");
}

/// The servers for names that nobody asked for. They stand first and are no `default_server`: the owner may have one.
fn unknown(text: &mut Text, settings: &ProxySettings, quic: bool) -> Result<(), Unsafe> {
    let own = settings.arrangement == Arrangement::Own;
    text.remark("Names that nobody asked for: first, so that it is the default unless another server says that it is.");
    text.try_block("server", &[], |text| {
        listen_http(text, settings, false);
        text.ours("server_name _");
        silent(text, settings)?;
        if let Some(guard) = &settings.guard {
            guard::clock(text, guard);
        }
        if settings.acme_unknown_host {
            acme(text);
        }
        if !own {
            nobody(text, settings);
            return Ok(());
        }
        text.line("root", &[Param::ours(PAGES)]);
        text.ours("error_page 404 /unknown.html");
        text.block("location", &[Param::ours("/")], |text| text.ours("return 404"));
        text.block("location", &[Param::ours("="), Param::ours("/unknown.html")], |text| text.ours("internal"));
        Ok(())
    })?;
    let certificate = settings.default_certificate.as_deref().map(super::fingerprint).transpose()?;
    text.try_block("server", &[], |text| {
        let words: &[&'static str] = if settings.features.http2_directive { &["ssl"] } else { &["ssl", "http2"] };
        listen(text, settings, settings.listen.https, words, false);
        if settings.features.http2_directive {
            text.ours("http2 on");
        }
        if quic {
            listen_quic(text, settings, false);
        }
        text.ours("server_name _");
        silent(text, settings)?;
        if let Some(hash) = &certificate {
            text.note("certificate", hash);
            let file = |name| Param::ours(CERTS).then(&Param::ours(name));
            text.line("ssl_certificate", &[file("/default.crt")]);
            text.line("ssl_certificate_key", &[file("/default.key")]);
            nobody(text, settings);
        } else {
            text.ours("ssl_reject_handshake on");
            text.remark("A known name in the handshake and another one in the request.");
            text.ours("return 421");
        }
        Ok(())
    })
}

/// 503, with the owner's page when there is one; in a location, for a server's own `return` would answer for the page too.
fn nobody(text: &mut Text, settings: &ProxySettings) {
    if settings.error_page && settings.arrangement == Arrangement::Classic {
        owners_page(text);
    }
    text.block("location", &[Param::ours("/")], |text| text.ours("return 503"));
}

fn silent(text: &mut Text, settings: &ProxySettings) -> Result<(), Unsafe> {
    if settings.arrangement == Arrangement::Classic {
        access_log(text, settings)?;
    }
    if settings.server_tokens == Some(false) {
        text.ours("server_tokens off");
    }
    text.remark("Every map of ours needs its variables, also where no site sets them.");
    text.ours("set $upgrade_policy none");
    text.ours("set $upstream_keepalive false");
    Ok(())
}
