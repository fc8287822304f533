//! Filling in variables: commands, requests and what holds them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Action, Administrator, Body, Exec, Request, Smoke, TemplateError, Variables};

impl Variables {
    /// Fills in a command.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn exec(&self, exec: &Exec) -> Result<Exec, TemplateError> {
        Ok(Exec {
            command: exec.command.iter().map(|text| self.text(text)).collect::<Result<_, _>>()?,
            stdin: self.optional(exec.stdin.as_deref())?,
            environment: self.map(&exec.environment)?,
            ..exec.clone()
        })
    }

    /// Fills in a request. Texts within a JSON body are filled in one by one, so no value can break out of them.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn request(&self, request: &Request) -> Result<Request, TemplateError> {
        let body = match &request.body {
            Body::Empty => Body::Empty,
            Body::Json(value) => Body::Json(self.json(value)?),
            Body::Form(form) => Body::Form(self.map(form)?),
        };
        Ok(Request {
            path: self.text(&request.path)?,
            headers: self.map(&request.headers)?,
            body,
            contains: self.optional(request.contains.as_deref())?,
            ..request.clone()
        })
    }

    /// Fills in an action.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn action(&self, action: &Action) -> Result<Action, TemplateError> {
        Ok(match action {
            Action::Exec(exec) => Action::Exec(self.exec(exec)?),
            Action::Request(request) => Action::Request(self.request(request)?),
        })
    }

    /// Fills in how the first administrator comes to be.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn administrator(&self, administrator: &Administrator) -> Result<Administrator, TemplateError> {
        Ok(Administrator {
            user: self.text(&administrator.user)?,
            password: administrator.password.clone(),
            path: administrator.path.clone(),
            exists: administrator.exists.as_ref().map(|request| self.request(request)).transpose()?,
            create: administrator.create.iter().map(|action| self.action(action)).collect::<Result<_, _>>()?,
        })
    }

    /// Fills in a smoke probe.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn smoke(&self, smoke: &Smoke) -> Result<Smoke, TemplateError> {
        Ok(Smoke { path: self.text(&smoke.path)?, expect: smoke.expect.clone(), contains: self.optional(smoke.contains.as_deref())? })
    }

    fn optional(&self, text: Option<&str>) -> Result<Option<String>, TemplateError> {
        text.map(|text| self.text(text)).transpose()
    }

    fn map(&self, map: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, TemplateError> {
        map.iter().map(|(key, value)| Ok((key.clone(), self.text(value)?))).collect()
    }

    fn json(&self, value: &Value) -> Result<Value, TemplateError> {
        Ok(match value {
            Value::String(text) => Value::String(self.text(text)?),
            Value::Array(items) => items.iter().map(|item| self.json(item)).collect::<Result<_, _>>()?,
            Value::Object(entries) => {
                Value::Object(entries.iter().map(|(key, item)| Ok((key.clone(), self.json(item)?))).collect::<Result<_, _>>()?)
            }
            other => other.clone(),
        })
    }
}
