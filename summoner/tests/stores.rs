//! Other places for snapshots, with real servers: `MinIO` (S3) and OpenSSH (SFTP), started by each test, and a proxy in front
//! of them that breaks what it is told to.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it does not expect")]

use summoner::backend::{Backend, Hold};

#[path = "stores/bed.rs"]
mod bed;
#[path = "stores/faults.rs"]
mod faults;
#[path = "stores/s3.rs"]
mod s3;
#[path = "stores/sftp.rs"]
mod sftp;
#[path = "../src/backend/tests/suite.rs"]
mod suite;
