//! What all sites share at the level of `http`: maps, headers to applications, the log. Nothing here may be a directive
//! that a stock `nginx.conf` holds, since nginx takes each of those once.

use super::guard;
use super::settings::{AccessLog, Arrangement, Escape, ProxySettings, Trust};
use super::tls;
use super::writer::{Param, Text, Unsafe};

/// Everything for both arrangements, in order.
pub(super) fn write(text: &mut Text, settings: &ProxySettings) -> Result<(), Unsafe> {
    let features = &settings.features;
    text.remark("Behind another published port nginx does not know its own; our redirects are whole.");
    text.ours("absolute_redirect off");
    if features.keepalive_min_timeout {
        text.remark("Without it every reload costs a busy client one request.");
        text.ours("keepalive_min_timeout 5s");
    }
    text.ours("server_names_hash_bucket_size 256");
    text.ours("server_names_hash_max_size 4096");
    if features.add_header_inherit {
        text.ours("add_header_inherit merge");
    }
    resolver(text, settings)?;
    if let Some(guard) = &settings.guard {
        // First: a log names a format that is known.
        guard::http(text, guard)?;
    }
    log(text, settings)?;
    tls::general(text, settings);
    if let Some(file) = &settings.dhparam {
        text.note("hash", &super::fingerprint(&file.fingerprint)?);
        text.line("ssl_dhparam", &[path("the Diffie-Hellman group", &file.path)?]);
    }
    upgrades(text);
    ports(text, settings);
    forwarded(text, settings)?;
    security(text);
    headers(text, settings)
}

fn resolver(text: &mut Text, settings: &ProxySettings) -> Result<(), Unsafe> {
    let resolvers = &settings.resolvers;
    let mut params = Vec::new();
    for (address, port) in &resolvers.servers {
        let shown = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
        let server = Param::data("a name server", &shown)?;
        params.push(match port {
            Some(port) => server.then(&Param::ours(":")).then(&Param::number((*port).into())),
            None => server,
        });
    }
    if params.is_empty() {
        return Ok(());
    }
    if let Some(seconds) = resolvers.valid_s {
        params.push(Param::ours("valid=").then(&Param::number(seconds.into())).then(&Param::ours("s")));
    }
    if !resolvers.ipv6 {
        params.push(Param::ours("ipv6=off"));
    }
    text.remark("A server that moves is found without a reload.");
    text.line("resolver", &params);
    text.ours("resolver_timeout 5s");
    Ok(())
}

const PLAIN: &str = "log_format summoner '$time_iso8601 $host $remote_addr \"$request_method $logged_path $server_protocol\" $status \
    bytes=$body_bytes_sent time=$request_time upstream=$upstream_response_time \"$http_user_agent\"'";
const VHOST: &str = "log_format summoner '$host $remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
    \"$http_referer\" \"$http_user_agent\" \"$upstream_addr\"'";
/// nginx-proxy's keys, with the address that was believed in place of what the client says of itself.
const JSON: &str = "log_format summoner escape=json '{\"time_local\":\"$time_iso8601\",\"client_ip\":\"$remote_addr\",\
    \"remote_addr\":\"$realip_remote_addr\",\"host\":\"$host\",\"request\":\"$request\",\"status\":\"$status\",\
    \"body_bytes_sent\":\"$body_bytes_sent\",\"request_time\":\"$request_time\",\"upstream_response_time\":\"$upstream_response_time\",\
    \"upstream_addr\":\"$upstream_addr\",\"http_referrer\":\"$http_referer\",\"http_user_agent\":\"$http_user_agent\",\
    \"request_id\":\"$request_id\"}'";

fn log(text: &mut Text, settings: &ProxySettings) -> Result<(), Unsafe> {
    if settings.log == AccessLog::Plain {
        text.remark("No query strings: they hold tokens.");
        text.block("map", &[Param::ours("$request_uri"), Param::ours("$logged_path")], |text| {
            text.ours("\"~^(?<before_query>[^?]*)\" $before_query");
        });
    }
    match &settings.log {
        AccessLog::Off => {}
        AccessLog::Plain => text.ours(PLAIN),
        AccessLog::Vhost => text.ours(VHOST),
        AccessLog::Json => text.ours(JSON),
        AccessLog::Format { text: format, escape } => {
            let escape = match escape {
                Escape::Default => "escape=default",
                Escape::Json => "escape=json",
                Escape::None => "escape=none",
            };
            text.line("log_format", &[Param::ours("summoner"), Param::ours(escape), Param::variables("the log's format", format)?]);
        }
    }
    if settings.arrangement == Arrangement::Own {
        access_log(text, settings)?;
    }
    Ok(())
}

/// The log's own lines: once in our own `nginx.conf`; in each server beside a stock one, which has a log of its own.
pub(super) fn access_log(text: &mut Text, settings: &ProxySettings) -> Result<(), Unsafe> {
    match (&settings.log, settings.arrangement) {
        // `off` would silence the guard's line too, which alone takes the place of nginx's own.
        (AccessLog::Off, _) if settings.guard.is_some() => {}
        (AccessLog::Off, _) => text.ours("access_log off"),
        (_, Arrangement::Own) => text.ours("access_log /dev/stdout summoner"),
        (_, Arrangement::Classic) => text.ours("access_log /var/log/nginx/access.log summoner"),
    }
    settings.guard.as_ref().map_or(Ok(()), |guard| guard::log(text, guard))
}

/// A path that needs no quotes.
pub(super) fn path(what: &'static str, text: &str) -> Result<Param, Unsafe> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./@+~,:=%".contains(&b);
    if text.starts_with('/') && text.bytes().all(plain) {
        Param::data(what, text)
    } else {
        Err(Unsafe::Form { what, reason: "is not a whole path of plain characters" })
    }
}

fn upgrades(text: &mut Text) {
    text.remark("What may be upgraded: WebSocket alone in front of our own, since any other upgrade would open a way around");
    text.remark("the proxy (h2c smuggling). A key without ~ is compared without regard to case.");
    text.block("map", &[Param::ours("$upgrade_policy:$http_upgrade"), Param::ours("$proxy_upgrade")], |text| {
        text.ours("default \"\"");
        text.ours("websocket:websocket websocket");
        text.ours("~^any:.+$ $http_upgrade");
    });
    text.block("map", &[Param::ours("$upstream_keepalive"), Param::ours("$proxy_connection_idle")], |text| {
        text.ours("default close");
        text.ours("true \"\"");
    });
    text.block("map", &[Param::ours("$proxy_upgrade"), Param::ours("$proxy_connection")], |text| {
        text.ours("default upgrade");
        text.ours("\"\" $proxy_connection_idle");
    });
}

/// The outside world's port for each of ours.
fn ports(text: &mut Text, settings: &ProxySettings) {
    let port = |number: u16| Param::number(number.into());
    let listen = &settings.listen;
    text.block("map", &[Param::ours("$server_port"), Param::ours("$outside_port")], |text| {
        text.ours("default $server_port");
        text.line_of(&port(listen.http), &[port(settings.http_port)]);
        text.line_of(&port(listen.https), &[port(settings.https_port)]);
    });
    text.block("map", &[Param::ours("$outside_port"), Param::ours("$host_port")], |text| {
        text.ours("default :$outside_port");
        text.ours("80 \"\"");
        text.ours("443 \"\"");
    });
}

/// What the application is told about the client. Claims count only from whom we trust, and only in their own form.
fn forwarded(text: &mut Text, settings: &ProxySettings) -> Result<(), Unsafe> {
    match &settings.trust {
        Trust::Nobody => {
            text.remark("The client's own claims are replaced, not extended: nothing trusted stands in front of this proxy.");
            text.block("map", &[Param::ours("$scheme"), Param::ours("$trusted")], |text| text.ours("default 0"));
        }
        Trust::Everybody => text.block("map", &[Param::ours("$scheme"), Param::ours("$trusted")], |text| text.ours("default 1")),
        Trust::Networks(networks) => {
            let networks = networks.iter().map(|net| Param::data("a network", &net.to_string())).collect::<Result<Vec<_>, _>>()?;
            for network in &networks {
                text.line("set_real_ip_from", std::slice::from_ref(network));
            }
            text.ours(if settings.listen.proxy_protocol { "real_ip_header proxy_protocol" } else { "real_ip_header X-Forwarded-For" });
            text.ours("real_ip_recursive on");
            text.block("geo", &[Param::ours("$realip_remote_addr"), Param::ours("$trusted")], |text| {
                text.ours("default 0");
                for network in &networks {
                    text.line_of(network, &[Param::ours("1")]);
                }
            });
        }
    }
    if settings.listen.proxy_protocol && !matches!(settings.trust, Trust::Networks(_)) {
        text.remark("Only what speaks the PROXY protocol gets in at all.");
        text.ours("set_real_ip_from 0.0.0.0/0");
        text.ours("set_real_ip_from ::/0");
        text.ours("real_ip_header proxy_protocol");
    }
    text.block("map", &[Param::ours("$trusted:$http_x_forwarded_proto"), Param::ours("$proxy_x_forwarded_proto")], |text| {
        text.ours("default $scheme");
        text.ours("1:http http");
        text.ours("1:https https");
    });
    text.block("map", &[Param::ours("$trusted:$http_x_forwarded_host"), Param::ours("$proxy_x_forwarded_host")], |text| {
        text.ours("default $host$host_port");
        text.ours("\"~^1:[][A-Za-z0-9._:-]+$\" $http_x_forwarded_host");
    });
    text.block("map", &[Param::ours("$trusted:$http_x_forwarded_port"), Param::ours("$proxy_x_forwarded_port")], |text| {
        text.ours("default $outside_port");
        text.ours("\"~^1:[0-9]+$\" $http_x_forwarded_port");
    });
    text.block("map", &[Param::ours("$trusted:$http_x_forwarded_for"), Param::ours("$proxy_x_forwarded_for")], |text| {
        text.ours("default $remote_addr");
        text.ours("\"~^1:[0-9A-Fa-f:., ]+$\" \"$http_x_forwarded_for, $realip_remote_addr\"");
    });
    text.block("map", &[Param::ours("$proxy_x_forwarded_proto"), Param::ours("$proxy_x_forwarded_ssl")], |text| {
        text.ours("default off");
        text.ours("https on");
    });
    Ok(())
}

fn security(text: &mut Text) {
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

/// Headers to every application; a location that needs others repeats none of them, since nginx would then send its own
/// alone. `$upgrade_policy` and `$upstream_keepalive` are what differs.
fn headers(text: &mut Text, settings: &ProxySettings) -> Result<(), Unsafe> {
    if let Some(file) = &settings.proxy_conf {
        text.remark("The owner's own in place of ours.");
        text.line("include", &[path("the file of proxy settings", &file.path)?]);
        return Ok(());
    }
    text.ours("proxy_http_version 1.1");
    for (name, value) in FORWARDED {
        text.line("proxy_set_header", &[Param::ours(name), Param::ours(value)]);
    }
    text.ours("proxy_set_header Upgrade $proxy_upgrade");
    text.ours("proxy_set_header Connection $proxy_connection");
    if settings.trust != Trust::Everybody {
        for claim in ["Forwarded", "X-Forwarded-Prefix", "X-Forwarded-Server"] {
            text.line("proxy_set_header", &[Param::ours(claim), Param::ours("")]);
        }
    }
    Ok(())
}

/// Headers to applications over HTTP and gRPC alike. The last one is the httpoxy attack's.
pub(super) const FORWARDED: [(&str, &str); 9] = [
    ("Host", "$host$host_port"),
    ("X-Real-IP", "$remote_addr"),
    ("X-Forwarded-For", "$proxy_x_forwarded_for"),
    ("X-Forwarded-Host", "$proxy_x_forwarded_host"),
    ("X-Forwarded-Proto", "$proxy_x_forwarded_proto"),
    ("X-Forwarded-Ssl", "$proxy_x_forwarded_ssl"),
    ("X-Forwarded-Port", "$proxy_x_forwarded_port"),
    ("X-Original-URI", "$request_uri"),
    ("Proxy", ""),
];
