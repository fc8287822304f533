//! What all hosts share: `nginx.conf` and the marker that tells which generation runs.

use super::writer::{Param, Text};
use super::{MARKER_PORT, PAGES};

/// `nginx.conf`; includes are relative to its own folder.
pub(super) fn nginx_conf() -> String {
    let mut text = Text::default();
    text.remark("Written by Summoner; changes are lost. See wiki/proxy.md.");
    text.ours("user nginx");
    text.ours("pid /run/nginx.pid");
    text.ours("worker_processes auto");
    text.ours("worker_rlimit_nofile 8192");
    text.remark("Long: a reload must not cut an editor's or a chat's connection.");
    text.ours("worker_shutdown_timeout 1h");
    text.ours("error_log /dev/stderr notice");
    text.block("events", &[], |text| text.ours("worker_connections 4096"));
    text.block("http", &[], |text| {
        general(text);
        log(text);
        tls(text);
        maps(text);
        unknown(text);
        text.ours("include marker.conf");
        text.ours("include hosts/*.conf");
    });
    text.finish()
}

/// The server that says which generation runs; it is not published.
pub(super) fn marker(id: &str) -> String {
    let mut text = Text::default();
    // The id is our own hash: hexadecimal digits.
    let id = Param::data("generation", id).unwrap_or_else(|_| Param::ours(""));
    text.block("server", &[], |text| {
        text.line("listen", &[Param::number(MARKER_PORT.into())]);
        text.ours("access_log off");
        text.ours("default_type text/plain");
        text.line("return", &[Param::ours("200"), id]);
    });
    text.finish()
}

fn general(text: &mut Text) {
    text.ours("include /etc/nginx/mime.types");
    text.ours("default_type application/octet-stream");
    text.ours("server_tokens off");
    text.ours("sendfile on");
    text.ours("tcp_nopush on");
    text.remark("Behind another published port nginx does not know its own; our redirects are whole.");
    text.ours("absolute_redirect off");
    text.ours("keepalive_timeout 75s");
    text.remark("Without it every reload costs a busy client one request.");
    text.ours("keepalive_min_timeout 5s");
    text.ours("server_names_hash_bucket_size 256");
    text.ours("server_names_hash_max_size 4096");
    text.ours("add_header_inherit merge");
    text.remark("Docker's own name server: an application that moves is found without a reload.");
    text.ours("resolver 127.0.0.11 valid=2s ipv6=off");
    text.ours("resolver_timeout 5s");
}

fn log(text: &mut Text) {
    text.remark("No query strings: they hold tokens.");
    text.block("map", &[Param::ours("$request_uri"), Param::ours("$logged_path")], |text| {
        text.ours("\"~^(?<before_query>[^?]*)\" $before_query");
    });
    text.ours(
        "log_format summoner '$time_iso8601 $host $remote_addr \"$request_method $logged_path $server_protocol\" $status \
         bytes=$body_bytes_sent time=$request_time upstream=$upstream_response_time \"$http_user_agent\"'",
    );
    text.ours("access_log /dev/stdout summoner");
}

/// Mozilla's guideline 6.0 (2026-04), intermediate. X25519MLKEM768 stops an nginx whose OpenSSL is older than 3.5, so
/// it waits for a probe; the groups here work everywhere.
fn tls(text: &mut Text) {
    text.ours("ssl_protocols TLSv1.2 TLSv1.3");
    text.ours("ssl_ecdh_curve X25519:prime256v1:secp384r1");
    text.ours(
        "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
         ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
    );
    text.ours("ssl_prefer_server_ciphers off");
    text.ours("ssl_session_timeout 1d");
    text.ours("ssl_session_cache shared:summoner:10m");
}

fn maps(text: &mut Text) {
    text.remark("Only WebSocket: any other upgrade would open a way around the proxy (h2c smuggling).");
    text.block("map", &[Param::ours("$http_upgrade"), Param::ours("$upgrade")], |text| {
        text.ours("default \"\"");
        text.ours("websocket websocket");
    });
    text.block("map", &[Param::ours("$upgrade"), Param::ours("$upgrade_connection")], |text| {
        text.ours("default \"\"");
        text.ours("websocket upgrade");
    });
    text.remark("Added only where the application is silent: twice the same header is a fault to Nextcloud.");
    text.block("map", &[Param::ours("$upstream_http_x_content_type_options"), Param::ours("$add_nosniff")], |text| {
        text.ours("default \"\"");
        text.ours("\"\" nosniff");
    });
    text.block("map", &[Param::ours("$upstream_http_referrer_policy"), Param::ours("$add_referrer_policy")], |text| {
        text.ours("default \"\"");
        text.ours("\"\" strict-origin-when-cross-origin");
    });
}

fn unknown(text: &mut Text) {
    text.remark("Names that nobody asked for: a page without TLS, no handshake with it.");
    text.block("server", &[], |text| {
        text.ours("listen 80 default_server");
        text.ours("server_name _");
        text.line("root", &[Param::ours(PAGES)]);
        text.ours("error_page 404 /unknown.html");
        text.block("location", &[Param::ours("/")], |text| text.ours("return 404"));
        text.block("location", &[Param::ours("="), Param::ours("/unknown.html")], |text| text.ours("internal"));
    });
    text.block("server", &[], |text| {
        text.ours("listen 443 ssl default_server");
        text.ours("http2 on");
        text.ours("server_name _");
        text.ours("ssl_reject_handshake on");
        text.remark("A known name in the handshake and another one in the request.");
        text.ours("return 421");
    });
}
