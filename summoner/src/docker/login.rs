//! Logins of registries, where `docker login` keeps them.

use std::path::PathBuf;

use base64::Engine as _;
use bollard::auth::DockerCredentials;

/// The largest login file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// Docker's name for its own registry in the login file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The login for the registry of an image; None when there is none, or it lies in a credential helper.
pub(super) fn of(reference: &str) -> Option<DockerCredentials> {
    let folder =
        std::env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))?;
    let path = folder.join("config.json");
    if std::fs::metadata(&path).ok()?.len() > MAX_BYTES {
        return None;
    }
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
    let registry = registry(reference);
    let auth = file.get("auths")?.get(registry)?.get("auth")?.as_str()?;
    let decoded = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(auth).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some(DockerCredentials {
        username: Some(user.to_owned()),
        password: Some(password.to_owned()),
        serveraddress: Some(registry.to_owned()),
        ..Default::default()
    })
}

/// The registry's name as the login file spells it.
fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains('.') || first.contains(':') || first == "localhost" => first,
        _ => DOCKER_HUB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_the_part_before_the_first_slash_when_it_is_a_host() {
        assert_eq!(registry("ghost:6"), DOCKER_HUB);
        assert_eq!(registry("mattermost/mattermost-team-edition:11"), DOCKER_HUB);
        assert_eq!(registry("ghcr.io/wekan/wekan:v11"), "ghcr.io");
        assert_eq!(registry("localhost:5000/a:1"), "localhost:5000");
    }
}
