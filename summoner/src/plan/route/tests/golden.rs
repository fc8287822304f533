//! Every byte that nginx reads.

use super::*;

#[test]
fn a_simple_route() {
    insta::assert_snapshot!(host_text(&sample("blog.virtualdonkey.fr"), 443), @r"
    # instance ghost-blog.virtualdonkey.fr
    # certificate ab12
    upstream blog.virtualdonkey.fr {
        zone blog.virtualdonkey.fr 64k;
        server ghost-blog.virtualdonkey.fr.summoner-edge:2368 resolve max_fails=0;
        keepalive 16;
        # Below the 5 s of Node and Apache, so that no request meets a connection that is just closing.
        keepalive_timeout 4s;
    }
    server {
        listen 80;
        server_name blog.virtualdonkey.fr;
        server_tokens off;
        location ^~ /.well-known/acme-challenge/ {
            auth_basic off;
            auth_request off;
            allow all;
            root /usr/share/nginx/html;
            default_type text/plain;
            try_files $uri =404;
        }
        location / {
            if ($request_method !~ ^(GET|HEAD)$) {
                return 308 https://blog.virtualdonkey.fr$request_uri;
            }
            return 301 https://blog.virtualdonkey.fr$request_uri;
        }
    }
    server {
        listen 443 ssl;
        http2 on;
        server_name blog.virtualdonkey.fr;
        ssl_certificate /etc/nginx/certs/blog.virtualdonkey.fr.crt;
        ssl_certificate_key /etc/nginx/certs/blog.virtualdonkey.fr.key;
        server_tokens off;
        set $upgrade_policy none;
        set $upstream_keepalive false;
        add_header Strict-Transport-Security max-age=63072000 always;
        location / {
            client_max_body_size 52428800;
            add_header X-Content-Type-Options $add_nosniff always;
            add_header Referrer-Policy $add_referrer_policy always;
            proxy_connect_timeout 5s;
            proxy_read_timeout 60s;
            proxy_send_timeout 60s;
            proxy_hide_header Strict-Transport-Security;
            proxy_buffering on;
            proxy_request_buffering on;
            proxy_buffer_size 16k;
            proxy_buffers 8 16k;
            set $upstream_keepalive true;
            proxy_redirect off;
            proxy_pass http://blog.virtualdonkey.fr;
        }
        error_page 502 503 =503 /.summoner/starting.html;
        error_page 504 /.summoner/starting.html;
        location = /.summoner/starting.html {
            internal;
            root /etc/nginx/summoner;
            add_header Retry-After 5 always;
            add_header Cache-Control no-store always;
            # The first one is there while Summoner itself keeps the application still.
            try_files /waiting/blog.virtualdonkey.fr.html /current/pages/starting/blog.virtualdonkey.fr.html =503;
        }
    }
    ");
}

#[test]
fn a_full_route_on_another_port() {
    insta::assert_snapshot!(host_text(&full(), 8443), @r#"
    # instance ghost-cloud.virtualdonkey.fr
    # certificate ab12
    upstream cloud.virtualdonkey.fr {
        zone cloud.virtualdonkey.fr 64k;
        server ghost-cloud.virtualdonkey.fr.summoner-edge:2368 resolve max_fails=0;
        keepalive 16;
        # Below the 5 s of Node and Apache, so that no request meets a connection that is just closing.
        keepalive_timeout 4s;
    }
    server {
        listen 80;
        server_name cloud.virtualdonkey.fr files.virtualdonkey.fr www.virtualdonkey.fr;
        server_tokens off;
        location ^~ /.well-known/acme-challenge/ {
            auth_basic off;
            auth_request off;
            allow all;
            root /usr/share/nginx/html;
            default_type text/plain;
            try_files $uri =404;
        }
        location / {
            if ($request_method !~ ^(GET|HEAD)$) {
                return 308 https://cloud.virtualdonkey.fr:8443$request_uri;
            }
            return 301 https://cloud.virtualdonkey.fr:8443$request_uri;
        }
    }
    server {
        listen 443 ssl;
        http2 on;
        server_name files.virtualdonkey.fr www.virtualdonkey.fr;
        ssl_certificate /etc/nginx/certs/cloud.virtualdonkey.fr.crt;
        ssl_certificate_key /etc/nginx/certs/cloud.virtualdonkey.fr.key;
        server_tokens off;
        location / {
            if ($request_method !~ ^(GET|HEAD)$) {
                return 308 https://cloud.virtualdonkey.fr:8443$request_uri;
            }
            return 301 https://cloud.virtualdonkey.fr:8443$request_uri;
        }
    }
    server {
        listen 443 ssl;
        http2 on;
        server_name cloud.virtualdonkey.fr;
        ssl_certificate /etc/nginx/certs/cloud.virtualdonkey.fr.crt;
        ssl_certificate_key /etc/nginx/certs/cloud.virtualdonkey.fr.key;
        server_tokens off;
        set $upgrade_policy none;
        set $upstream_keepalive false;
        location = /.well-known/carddav {
            return 301 /remote.php/dav/;
        }
        location / {
            client_max_body_size 0;
            add_header X-Content-Type-Options $add_nosniff always;
            add_header Referrer-Policy no-referrer always;
            add_header X-Robots-Tag "noindex; \"nofollow\" \\ {" always;
            proxy_connect_timeout 5s;
            proxy_read_timeout 3610s;
            proxy_send_timeout 3610s;
            proxy_hide_header Strict-Transport-Security;
            proxy_hide_header Referrer-Policy;
            proxy_hide_header X-Robots-Tag;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_buffer_size 16k;
            proxy_buffers 8 16k;
            set $upgrade_policy websocket;
            set $upstream_keepalive true;
            proxy_redirect off;
            proxy_pass http://cloud.virtualdonkey.fr;
        }
        error_page 502 503 =503 /.summoner/starting.html;
        error_page 504 /.summoner/starting.html;
        location = /.summoner/starting.html {
            internal;
            root /etc/nginx/summoner;
            add_header Retry-After 5 always;
            add_header Cache-Control no-store always;
            # The first one is there while Summoner itself keeps the application still.
            try_files /waiting/cloud.virtualdonkey.fr.html /current/pages/starting/cloud.virtualdonkey.fr.html =503;
        }
    }
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a golden is as long as what it shows")]
fn what_all_hosts_share() {
    let generation = rendered(&[], 443).generation;
    let marker = generation.files["marker.conf"].replace(&generation.id, "<id>");
    insta::assert_snapshot!(marker, @r"
    server {
        listen 8199;
        access_log off;
        default_type text/plain;
        return 200 <id>;
    }
    ");
    insta::assert_snapshot!(generation.files["nginx.conf"], @r#"
    # Written by Summoner; changes are lost. See wiki/proxy.md.
    user nginx;
    pid /run/nginx.pid;
    worker_processes auto;
    worker_rlimit_nofile 8192;
    # Long: a reload must not cut an editor's or a chat's connection.
    worker_shutdown_timeout 1h;
    error_log /dev/stderr notice;
    events {
        worker_connections 4096;
    }
    http {
        include /etc/nginx/mime.types;
        default_type application/octet-stream;
        sendfile on;
        tcp_nopush on;
        keepalive_timeout 75s;
        # Behind another published port nginx does not know its own; our redirects are whole.
        absolute_redirect off;
        # Without it every reload costs a busy client one request.
        keepalive_min_timeout 5s;
        server_names_hash_bucket_size 256;
        server_names_hash_max_size 4096;
        add_header_inherit merge;
        # A server that moves is found without a reload.
        resolver 127.0.0.11 valid=2s ipv6=off;
        resolver_timeout 5s;
        # No query strings: they hold tokens.
        map $request_uri $logged_path {
            "~^(?<before_query>[^?]*)" $before_query;
        }
        log_format summoner '$time_iso8601 $host $remote_addr "$request_method $logged_path $server_protocol" $status bytes=$body_bytes_sent time=$request_time upstream=$upstream_response_time "$http_user_agent"';
        access_log /dev/stdout summoner;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
        ssl_prefer_server_ciphers off;
        ssl_ecdh_curve X25519:prime256v1:secp384r1;
        ssl_session_timeout 1d;
        ssl_session_cache shared:summoner:10m;
        # What may be upgraded: WebSocket alone in front of our own, since any other upgrade would open a way around
        # the proxy (h2c smuggling). A key without ~ is compared without regard to case.
        map $upgrade_policy:$http_upgrade $proxy_upgrade {
            default "";
            websocket:websocket websocket;
            ~^any:.+$ $http_upgrade;
        }
        map $upstream_keepalive $proxy_connection_idle {
            default close;
            true "";
        }
        map $proxy_upgrade $proxy_connection {
            default upgrade;
            "" $proxy_connection_idle;
        }
        map $server_port $outside_port {
            default $server_port;
            80 80;
            443 443;
        }
        map $outside_port $host_port {
            default :$outside_port;
            80 "";
            443 "";
        }
        # The client's own claims are replaced, not extended: nothing trusted stands in front of this proxy.
        map $scheme $trusted {
            default 0;
        }
        map $trusted:$http_x_forwarded_proto $proxy_x_forwarded_proto {
            default $scheme;
            1:http http;
            1:https https;
        }
        map $trusted:$http_x_forwarded_host $proxy_x_forwarded_host {
            default $host$host_port;
            "~^1:[][A-Za-z0-9._:-]+$" $http_x_forwarded_host;
        }
        map $trusted:$http_x_forwarded_port $proxy_x_forwarded_port {
            default $outside_port;
            "~^1:[0-9]+$" $http_x_forwarded_port;
        }
        map $trusted:$http_x_forwarded_for $proxy_x_forwarded_for {
            default $remote_addr;
            "~^1:[0-9A-Fa-f:., ]+$" "$http_x_forwarded_for, $realip_remote_addr";
        }
        map $proxy_x_forwarded_proto $proxy_x_forwarded_ssl {
            default off;
            https on;
        }
        # Added only where the application is silent: twice the same header is a fault to Nextcloud.
        map $upstream_http_x_content_type_options $add_nosniff {
            default "";
            "" nosniff;
        }
        map $upstream_http_referrer_policy $add_referrer_policy {
            default "";
            "" strict-origin-when-cross-origin;
        }
        proxy_http_version 1.1;
        proxy_set_header Host $host$host_port;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_x_forwarded_for;
        proxy_set_header X-Forwarded-Host $proxy_x_forwarded_host;
        proxy_set_header X-Forwarded-Proto $proxy_x_forwarded_proto;
        proxy_set_header X-Forwarded-Ssl $proxy_x_forwarded_ssl;
        proxy_set_header X-Forwarded-Port $proxy_x_forwarded_port;
        proxy_set_header X-Original-URI $request_uri;
        proxy_set_header Proxy "";
        proxy_set_header Upgrade $proxy_upgrade;
        proxy_set_header Connection $proxy_connection;
        proxy_set_header Forwarded "";
        proxy_set_header X-Forwarded-Prefix "";
        proxy_set_header X-Forwarded-Server "";
        # Names that nobody asked for: first, so that it is the default unless another server says that it is.
        server {
            listen 80;
            server_name _;
            server_tokens off;
            # Every map of ours needs its variables, also where no site sets them.
            set $upgrade_policy none;
            set $upstream_keepalive false;
            location ^~ /.well-known/acme-challenge/ {
                auth_basic off;
                auth_request off;
                allow all;
                root /usr/share/nginx/html;
                default_type text/plain;
                try_files $uri =404;
            }
            root /etc/nginx/summoner/current/pages;
            error_page 404 /unknown.html;
            location / {
                return 404;
            }
            location = /unknown.html {
                internal;
            }
        }
        server {
            listen 443 ssl;
            http2 on;
            server_name _;
            server_tokens off;
            # Every map of ours needs its variables, also where no site sets them.
            set $upgrade_policy none;
            set $upstream_keepalive false;
            ssl_reject_handshake on;
            # A known name in the handshake and another one in the request.
            return 421;
        }
        include marker.conf;
        include hosts/*.conf;
    }
    "#);
    assert_eq!(generation.files.keys().collect::<Vec<_>>(), ["marker.conf", "nginx.conf", "pages/unknown.html"]);
}
