//! What lies in the folders of the proxy's owner, as values: names and hashes, no content. `crate::nginx` looks.

use std::collections::BTreeMap;

/// Names of files and hashes of their content (hexadecimal).
pub type Files = BTreeMap<String, String>;

/// Everything that the owner put beside the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFiles {
    /// `vhost.d/`.
    pub vhosts: Files,
    /// `htpasswd/`.
    pub passwords: Files,
    /// `conf.d/*.conf`, without what Summoner writes there itself.
    pub conf: Files,
    /// `certs/`: usable pairs by their stem; `default` is the one for names without their own.
    pub certificates: BTreeMap<String, CertificateFiles>,
    /// `certs/ca.crt`: hash, when it is there. It makes every site ask its clients for a certificate, so it is never the
    /// authority that Summoner itself keeps in that folder for the sites.
    pub client_ca: Option<String>,
    /// `certs/ca.crl.pem`.
    pub client_crl: Option<String>,
    /// `/etc/nginx/network_internal.conf`: who counts as internal.
    pub internal: Option<String>,
    /// `dhparam/dhparam.pem`.
    pub dhparam: Option<String>,
    /// `/etc/nginx/proxy.conf`: headers to the application in place of the proxy's own.
    pub proxy: Option<String>,
}

/// A certificate in the folder of certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Of everything that nginx reads for it: an edit of any part is a change.
    pub fingerprint: String,
    /// `<stem>.dhparam.pem` is there.
    pub dhparam: bool,
    /// `<stem>.chain.pem` is there.
    pub chain: bool,
    /// `<stem>.ca.crt` is there.
    pub client_ca: bool,
    /// `<stem>.crl.pem` is there.
    pub client_crl: bool,
    /// Why it cannot be used: damaged, key of another certificate, ended. None is usable.
    pub fault: Option<String>,
}
