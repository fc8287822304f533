//! Every byte that nginx reads.

use super::*;

#[test]
fn a_simple_route() {
    insta::assert_snapshot!(host_text(&sample("blog.virtualdonkey.fr"), 443), @r#"
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
        add_header Strict-Transport-Security max-age=63072000 always;
        client_max_body_size 52428800;
        add_header X-Content-Type-Options $add_nosniff always;
        add_header Referrer-Policy $add_referrer_policy always;
        location / {
            proxy_pass http://blog.virtualdonkey.fr;
            proxy_http_version 1.1;
            proxy_redirect off;
            proxy_connect_timeout 5s;
            proxy_read_timeout 60s;
            proxy_send_timeout 60s;
            proxy_buffer_size 16k;
            proxy_buffers 8 16k;
            proxy_buffering on;
            proxy_request_buffering on;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Forwarded-Port 443;
            # The client's own claims are replaced, not extended: nothing trusted stands in front of this proxy.
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Ssl on;
            proxy_set_header Forwarded "";
            proxy_set_header X-Forwarded-Prefix "";
            proxy_set_header X-Forwarded-Server "";
            proxy_set_header Proxy "";
            proxy_set_header Upgrade "";
            proxy_set_header Connection "";
            proxy_hide_header Strict-Transport-Security;
        }
        error_page 502 503 =503 /.summoner/starting.html;
        error_page 504 /.summoner/starting.html;
        location = /.summoner/starting.html {
            internal;
            alias /etc/nginx/summoner/current/pages/starting/blog.virtualdonkey.fr.html;
            add_header Retry-After 5 always;
            add_header Cache-Control no-store always;
        }
    }
    "#);
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
        client_max_body_size 0;
        add_header X-Content-Type-Options $add_nosniff always;
        add_header Referrer-Policy no-referrer always;
        add_header X-Robots-Tag "noindex; \"nofollow\" \\ {" always;
        location = /.well-known/carddav {
            return 301 /remote.php/dav/;
        }
        location / {
            proxy_pass http://cloud.virtualdonkey.fr;
            proxy_http_version 1.1;
            proxy_redirect off;
            proxy_connect_timeout 5s;
            proxy_read_timeout 3610s;
            proxy_send_timeout 3610s;
            proxy_buffer_size 16k;
            proxy_buffers 8 16k;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_set_header Host $host:8443;
            proxy_set_header X-Forwarded-Host $host:8443;
            proxy_set_header X-Forwarded-Port 8443;
            # The client's own claims are replaced, not extended: nothing trusted stands in front of this proxy.
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Ssl on;
            proxy_set_header Forwarded "";
            proxy_set_header X-Forwarded-Prefix "";
            proxy_set_header X-Forwarded-Server "";
            proxy_set_header Proxy "";
            proxy_set_header Upgrade $upgrade;
            proxy_set_header Connection $upgrade_connection;
            proxy_hide_header Strict-Transport-Security;
            proxy_hide_header Referrer-Policy;
            proxy_hide_header X-Robots-Tag;
        }
        error_page 502 503 =503 /.summoner/starting.html;
        error_page 504 /.summoner/starting.html;
        location = /.summoner/starting.html {
            internal;
            alias /etc/nginx/summoner/current/pages/starting/cloud.virtualdonkey.fr.html;
            add_header Retry-After 5 always;
            add_header Cache-Control no-store always;
        }
    }
    "#);
}

#[test]
fn what_all_hosts_share() {
    let generation = render(&[], &settings(443)).generation;
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
        server_tokens off;
        sendfile on;
        tcp_nopush on;
        # Behind another published port nginx does not know its own; our redirects are whole.
        absolute_redirect off;
        keepalive_timeout 75s;
        # Without it every reload costs a busy client one request.
        keepalive_min_timeout 5s;
        server_names_hash_bucket_size 256;
        server_names_hash_max_size 4096;
        add_header_inherit merge;
        # Docker's own name server: an application that moves is found without a reload.
        resolver 127.0.0.11 valid=2s ipv6=off;
        resolver_timeout 5s;
        # No query strings: they hold tokens.
        map $request_uri $logged_path {
            "~^(?<before_query>[^?]*)" $before_query;
        }
        log_format summoner '$time_iso8601 $host $remote_addr "$request_method $logged_path $server_protocol" $status bytes=$body_bytes_sent time=$request_time upstream=$upstream_response_time "$http_user_agent"';
        access_log /dev/stdout summoner;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ecdh_curve X25519:prime256v1:secp384r1;
        ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
        ssl_prefer_server_ciphers off;
        ssl_session_timeout 1d;
        ssl_session_cache shared:summoner:10m;
        # Only WebSocket: any other upgrade would open a way around the proxy (h2c smuggling).
        map $http_upgrade $upgrade {
            default "";
            websocket websocket;
        }
        map $upgrade $upgrade_connection {
            default "";
            websocket upgrade;
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
        # Names that nobody asked for: a page without TLS, no handshake with it.
        server {
            listen 80 default_server;
            server_name _;
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
            listen 443 ssl default_server;
            http2 on;
            server_name _;
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
