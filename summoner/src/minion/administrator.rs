//! `administrator` and `smoke`: how the first person gets in, and what proves that others could work.

use super::actions::{Action, Request, actions, answer, request};
use super::reader::Reader;
use crate::yaml::{Fields, Node};

/// How the first administrator comes to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administrator {
    /// Login name; `${EMAIL}` and other variables are interpolated.
    pub user: String,
    /// The secret with the password.
    pub password: String,
    /// Where to sign in, below the instance's URL.
    pub path: String,
    /// A check that passes when the administrator exists already: then nothing is done.
    pub exists: Option<Request>,
    /// What makes the administrator, in order. Empty: the application does it from its environment at first start.
    pub create: Vec<Action>,
}

/// What proves through the proxy that a person could work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smoke {
    /// Path and query on the instance's own host.
    pub path: String,
    /// Statuses that pass; empty is any 2xx.
    pub expect: Vec<u16>,
    /// Text that the answer must hold.
    pub contains: Option<String>,
}

pub(super) fn read(node: &Node, reader: &mut Reader) -> Option<Administrator> {
    let mut fields = Fields::open(node, "administrator", &mut reader.faults)?;
    let user = reader.required_template(&mut fields, "user");
    let password = reader.secret(&mut fields, "password");
    let path = fields.text("path", &mut reader.faults).unwrap_or_else(|| "/".into());
    let exists = fields.take("exists").and_then(|node| existing(node, reader));
    let create = actions(&mut fields, "create", reader);
    fields.finish(&mut reader.faults);
    Some(Administrator { user: user?, password: password?, path, exists, create })
}

fn existing(node: &Node, reader: &mut Reader) -> Option<Request> {
    let mut fields = Fields::open(node, "administrator.exists", &mut reader.faults)?;
    let name = fields.name("request");
    let found = fields.require("request", &mut reader.faults).and_then(|node| request(node, name, reader));
    fields.finish(&mut reader.faults);
    found
}

pub(super) fn smoke(node: &Node, reader: &mut Reader) -> Option<Smoke> {
    let mut fields = Fields::open(node, "smoke", &mut reader.faults)?;
    let (path, expect, contains) = answer(&mut fields, reader);
    fields.finish(&mut reader.faults);
    Some(Smoke { path: path?, expect, contains })
}
