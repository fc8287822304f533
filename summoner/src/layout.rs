//! Where things lie on the host. The only module that spells a path below the storage roots.
//!
//! Reads and writes nothing.

use std::path::{Path, PathBuf};

use crate::name::{ContainerName, InstanceId};

/// The two storage roots of a host, and everything below them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `vsroot`: application files and Summoner's own.
    pub files: PathBuf,
    /// `dbsroot`: database files.
    pub databases: PathBuf,
}

/// The folder below `vsroot` that is Summoner's; no instance can have this name, since it holds no hyphen.
pub const OWN: &str = "summoner";
/// The folder below `vsroot` that holds the default repository.
pub const BACKUPS: &str = "backups";

/// The lock that one command holds at a time.
pub const LOCK: &str = "lock";

/// Begins the name of the folders beside live data.
const RESTORE: &str = ".restore";
/// The folder beside live data in which drills restore.
const DRILL: &str = ".drill";

impl Layout {
    /// The application files of an instance.
    #[must_use]
    pub fn instance_files(&self, id: &InstanceId) -> PathBuf {
        self.files.join(id.to_string())
    }

    /// The files of a database container.
    #[must_use]
    pub fn database_files(&self, name: &ContainerName) -> PathBuf {
        self.databases.join(name.to_string())
    }

    /// The default repository.
    #[must_use]
    pub fn backups(&self) -> PathBuf {
        self.files.join(BACKUPS)
    }

    /// Summoner's own folder (0700).
    #[must_use]
    pub fn own(&self) -> PathBuf {
        self.files.join(OWN)
    }

    /// What Summoner remembers.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.own().join("state.json")
    }

    /// The lock that one command holds at a time.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.own().join(LOCK)
    }

    /// For which configuration the last recovery card was made.
    #[must_use]
    pub fn card(&self) -> PathBuf {
        self.own().join("card.json")
    }

    /// What ran on schedule, and how it ended.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.own().join("runs.json")
    }

    /// What people were told of.
    #[must_use]
    pub fn told(&self) -> PathBuf {
        self.own().join("told.json")
    }

    /// The lock of whoever changes that.
    #[must_use]
    pub fn told_lock(&self) -> PathBuf {
        self.own().join("told.lock")
    }

    /// The lock of whoever runs scheduled jobs.
    #[must_use]
    pub fn runs_lock(&self) -> PathBuf {
        self.own().join("runs.lock")
    }

    /// What is remembered of another place for snapshots.
    #[must_use]
    pub fn copies(&self, place: &str) -> PathBuf {
        self.own().join("copies").join(format!("{place}.json"))
    }

    /// The lock of whoever fills that place from here.
    #[must_use]
    pub fn copies_lock(&self, place: &str) -> PathBuf {
        self.own().join("copies").join(format!("{place}.lock"))
    }

    /// What was begun and must be ended, also after a crash.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.own().join("journal")
    }

    /// What was begun on one instance.
    #[must_use]
    pub fn journal_of(&self, id: &InstanceId) -> PathBuf {
        self.journal().join(format!("{id}.json"))
    }

    /// What restores replaced and keep until they are confirmed, a file an instance.
    #[must_use]
    pub fn restored(&self) -> PathBuf {
        self.own().join("restored")
    }

    /// The folder where files wait to take the place of an instance's, and where the replaced ones are kept. The dot
    /// keeps it out of every instance's name.
    #[must_use]
    pub fn beside_files(&self, id: &InstanceId) -> PathBuf {
        self.files.join(format!("{RESTORE}-{id}"))
    }

    /// The same on the file system of the databases.
    #[must_use]
    pub fn beside_databases(&self, id: &InstanceId) -> PathBuf {
        self.databases.join(format!("{RESTORE}-{id}"))
    }

    /// The same for a named volume, whose data the engine keeps at this path.
    #[must_use]
    pub fn beside_volume(data: &Path) -> PathBuf {
        data.parent().unwrap_or(data).join(RESTORE)
    }

    /// Where in such a folder things wait to take a place.
    #[must_use]
    pub fn waiting(beside: &Path) -> PathBuf {
        beside.join("new")
    }

    /// The folder beside live data that a path of a move lies in.
    #[must_use]
    pub fn beside_of(path: &Path) -> Option<&Path> {
        path.ancestors().find(|folder| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(RESTORE)))
    }

    /// The secrets of all instances, a folder each (0700).
    #[must_use]
    pub fn all_secrets(&self) -> PathBuf {
        self.own().join("secrets")
    }

    /// The generated secrets of an instance (0700), one file each (0600).
    #[must_use]
    pub fn secrets(&self, id: &InstanceId) -> PathBuf {
        self.all_secrets().join(id.to_string())
    }

    /// Certificates and their keys, `<host>.crt` and `<host>.key`.
    #[must_use]
    pub fn certs(&self) -> PathBuf {
        self.own().join("certs")
    }

    /// The certificate of the own authority, for people to trust.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.certs().join("ca.crt")
    }

    /// The certificate and key of the own authority (0600).
    #[must_use]
    pub fn authority_key(&self) -> PathBuf {
        self.own().join("authority.pem")
    }

    /// What authorities on the network answered, and when they are asked again.
    #[must_use]
    pub fn certificates(&self) -> PathBuf {
        self.own().join("certificates.json")
    }

    /// The lock of whoever asks authorities.
    #[must_use]
    pub fn certificates_lock(&self) -> PathBuf {
        self.own().join("certificates.lock")
    }

    /// Accounts with authorities, and orders that were begun (0700, files 0600).
    #[must_use]
    pub fn acme(&self) -> PathBuf {
        self.own().join("acme")
    }

    /// What the owner of the proxy puts beside Summoner's own configuration, in nginx-proxy's layout.
    #[must_use]
    pub fn proxy(&self) -> PathBuf {
        self.own().join("proxy")
    }

    /// One folder of it: `vhost.d`, `htpasswd`, `conf.d` or `html`.
    #[must_use]
    pub fn proxy_folder(&self, folder: ProxyFolder) -> PathBuf {
        self.proxy().join(folder.name())
    }

    /// nginx's configuration: generation folders and the link to the current one.
    #[must_use]
    pub fn nginx(&self) -> PathBuf {
        self.own().join("nginx")
    }

    /// One generation of nginx's configuration.
    #[must_use]
    pub fn nginx_generation(&self, id: &str) -> PathBuf {
        self.nginx().join(id)
    }

    /// What `summoner proxy` serves, for whoever asks.
    #[must_use]
    pub fn proxy_status(&self) -> PathBuf {
        self.own().join("proxy.json")
    }

    /// The lock of the one proxy that works here.
    #[must_use]
    pub fn proxy_lock(&self) -> PathBuf {
        self.own().join("proxy.lock")
    }

    /// Pages that are shown while Summoner keeps an application still; nginx looks for one at each failure.
    #[must_use]
    pub fn nginx_waiting(&self) -> PathBuf {
        self.nginx().join("waiting")
    }

    /// The link to the generation that nginx runs.
    #[must_use]
    pub fn nginx_current(&self) -> PathBuf {
        self.nginx().join("current")
    }
}

/// The owner's folders beside the proxy's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyFolder {
    /// A file a host, included in its server.
    Vhosts,
    /// A file of names and passwords a host.
    Passwords,
    /// Files for the whole proxy.
    Conf,
    /// Static files: the challenge of ACME, error pages.
    Html,
}

impl ProxyFolder {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Vhosts, Self::Passwords, Self::Conf, Self::Html];

    /// Its name on disk, as people know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vhosts => "vhost.d",
            Self::Passwords => "htpasswd",
            Self::Conf => "conf.d",
            Self::Html => "html",
        }
    }
}

/// Bans, and what nginx and the guard share.
impl Layout {
    /// Who is locked out, and since when.
    #[must_use]
    pub fn bans(&self) -> PathBuf {
        self.own().join("bans.json")
    }

    /// Failed sign-ins that are no ban yet.
    #[must_use]
    pub fn failed_sign_ins(&self) -> PathBuf {
        self.own().join("sign-ins.json")
    }

    /// The lock of whoever changes that.
    #[must_use]
    pub fn bans_lock(&self) -> PathBuf {
        self.own().join("bans.lock")
    }

    /// The same list for nginx's script.
    #[must_use]
    pub fn nginx_bans(&self) -> PathBuf {
        self.nginx().join("bans")
    }

    /// The same list in nginx's own words.
    #[must_use]
    pub fn nginx_bans_map(&self) -> PathBuf {
        self.nginx().join("bans.map")
    }

    /// The socket on which nginx tells of sign-ins.
    #[must_use]
    pub fn nginx_sign_ins(&self) -> PathBuf {
        self.nginx().join("sign-ins.sock")
    }
}

/// Drills: throw-away places beside the data, and what is remembered of them.
impl Layout {
    /// The folders in which drills restore, one on each file system. The dot keeps them out of every instance's name.
    #[must_use]
    pub fn drills(&self) -> [PathBuf; 2] {
        [self.files.join(DRILL), self.databases.join(DRILL)]
    }

    /// The layout of one drill: everything of the instance lies below it as it lies below the real one.
    #[must_use]
    pub fn drill(&self, id: &InstanceId) -> Self {
        let [files, databases] = self.drills();
        Self { files: files.join(id.to_string()), databases: databases.join(id.to_string()) }
    }

    /// In a drill, the folder that stands in for a named volume.
    #[must_use]
    pub fn volume_stand_in(&self, name: &str) -> PathBuf {
        self.files.join("volumes").join(name)
    }

    /// What is remembered of an instance's drills.
    #[must_use]
    pub fn drilled(&self, id: &InstanceId) -> PathBuf {
        self.own().join("drills").join(format!("{id}.json"))
    }

    /// The lock of the one drill that runs at a time.
    #[must_use]
    pub fn drill_lock(&self) -> PathBuf {
        self.own().join("drill.lock")
    }
}

impl Layout {
    /// How far a recovery of the whole server is; it is there only until that ends.
    #[must_use]
    pub fn recovery(&self) -> PathBuf {
        self.own().join("recovery.json")
    }

    /// The lock of whoever rehearses that.
    #[must_use]
    pub fn rehearsal_lock(&self) -> PathBuf {
        self.own().join("rehearsal.lock")
    }

    /// Where snapshots from elsewhere wait for a rehearsal.
    #[must_use]
    pub fn rehearsal(&self) -> PathBuf {
        self.own().join("rehearsal")
    }

    /// Where the record of the installation is put together.
    #[must_use]
    pub fn record_draft(&self) -> PathBuf {
        self.own().join("record.part")
    }

    /// What the last capture saw of an instance's files: a cache.
    #[must_use]
    pub fn seen(&self, id: &InstanceId) -> PathBuf {
        self.own().join("cache").join(format!("{id}.seen"))
    }
}

pub mod repository;

/// The folder of our generations beside the owner's files in `conf.d`; hidden, so that nginx does not include it.
pub const CLASSIC_GENERATIONS: &str = ".summoner";

/// Our generations in a folder `conf.d` that nginx reads whole.
#[must_use]
pub fn classic_generations(conf: &Path) -> PathBuf {
    conf.join(CLASSIC_GENERATIONS)
}

/// The person's own minions, beside their config.yml.
#[must_use]
pub fn own_minions(config: &Path) -> PathBuf {
    config.with_file_name("minions")
}

/// The dotenv file in the user's home that every command reads.
#[must_use]
pub fn home_file(home: &Path) -> PathBuf {
    home.join(".summoner")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_names() {
        let layout = Layout { files: "/srv/data".into(), databases: "/srv/data/database".into() };
        let name: ContainerName = "mysql-ghost-a.fr".parse().unwrap();
        assert_eq!(layout.instance_files(&name.instance), Path::new("/srv/data/ghost-a.fr"));
        assert_eq!(layout.database_files(&name), Path::new("/srv/data/database/mysql-ghost-a.fr"));
        assert_eq!(layout.secrets(&name.instance), Path::new("/srv/data/summoner/secrets/ghost-a.fr"));
    }
}
