//! The verbs of the engine, on the state in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::{Fake, refuse, session};
use crate::docker::{
    Container, ContainerDetail, CreateSpec, Described, Engine, EngineInfo, Events, ExecOutput, ExecSession, ExecSpec, ExecState, Image,
    Network, NetworkSpec, Running, failure,
};
use crate::error::{Error, Result};

impl Engine for Fake {
    async fn info(&self) -> Result<EngineInfo> {
        Ok(EngineInfo {
            version: "28.5.2".into(),
            api: "1.51".into(),
            architecture: "amd64".into(),
            cgroup: "2".into(),
            memory_bytes: 8 << 30,
            root: "/var/lib/docker".into(),
            storage_driver: "overlay2".into(),
            system_time: None,
        })
    }

    async fn matching(&self, filters: &[(String, String)]) -> Result<BTreeSet<String>> {
        let ids = self.look(|state| {
            let of = |wanted: &str, text: &str| {
                let mut values = filters.iter().filter(|(kind, _)| kind == wanted).map(|(_, value)| value).peekable();
                values.peek().is_none() || values.any(|value| text.contains(value.as_str()))
            };
            let passes = |name: &str, id: &str| of("name", name) && of("id", id);
            let passing = state.containers.iter().filter(|known| passes(&known.shown.name, &known.shown.id));
            passing.map(|known| known.shown.id.clone()).collect()
        });
        Ok(ids.await)
    }

    async fn containers(&self) -> Result<Vec<Container>> {
        let list = self.look(|state| {
            let shown = state.containers.iter().map(|known| {
                let mut shown = known.shown.clone();
                // Docker shows the id when the reference stands for another image by now.
                if state.image(&shown.image).is_none_or(|image| image.id != shown.image_id) {
                    shown.image = shown.image_id.clone();
                }
                shown
            });
            shown.collect()
        });
        Ok(list.await)
    }

    async fn inspect(&self, container: &str) -> Result<Option<ContainerDetail>> {
        let detail = self.look(|state| {
            state.looked(container);
            let known = state.find(container)?;
            Some(ContainerDetail {
                id: known.shown.id.clone(),
                running: known.shown.running,
                health: known.shown.health,
                health_output: None,
                exit_code: known.exit_code,
                pid: None,
                error: known.error.clone(),
                restarts: known.restarts,
                networks: known.shown.networks.clone(),
                environment: known.service.environment.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect(),
            })
        });
        Ok(detail.await)
    }

    async fn describe(&self, container: &str) -> Result<Option<Described>> {
        Ok(self.look(|state| state.describe(container)).await)
    }

    fn events(&self, since_ns: Option<i64>) -> Events {
        self.lock().subscribe(since_ns)
    }

    async fn networks(&self) -> Result<Vec<Network>> {
        Ok(self.look(|state| state.networks.clone()).await)
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>> {
        Ok(self.look(|state| state.image(reference).cloned()).await)
    }

    async fn pull(&self, reference: &str, progress: &(dyn Fn(&str) + Send + Sync)) -> Result<()> {
        let pulled = self.act(format!("pull {reference}"), |state| {
            let words = match state.refused.get(reference).cloned() {
                Some(words) => words,
                None if state.fetch(reference).is_some() => return Ok(()),
                None => format!("manifest for {reference} not found: manifest unknown: manifest unknown"),
            };
            Err(failure::pull(reference, &bollard::errors::Error::DockerStreamError { error: words }))
        });
        pulled.await?;
        progress("Download complete");
        Ok(())
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<()> {
        self.act(format!("create network {}", spec.name), |state| state.create_network(spec)).await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        self.act(format!("remove network {name}"), |state| state.remove_network(name)).await
    }

    async fn connect(&self, network: &str, container: &str, _: &[String]) -> Result<()> {
        let name = self.lock().name(container);
        self.act(format!("connect {name} to {network}"), |state| state.connect(network, container)).await
    }

    async fn disconnect(&self, network: &str, container: &str) -> Result<()> {
        let name = self.lock().name(container);
        self.act(format!("disconnect {name} from {network}"), |state| state.disconnect(network, container)).await
    }

    async fn create_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<()> {
        let call = self.act(format!("create volume {name}"), |state| {
            state.volumes.entry(name.to_owned()).or_insert_with(|| labels.clone());
            Ok(())
        });
        call.await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        let call = self.act(format!("remove volume {name}"), |state| {
            let uses = |source: &Option<String>| source.as_deref() == Some(name);
            if state.containers.iter().any(|known| known.service.volumes.iter().any(|mount| uses(&mount.source))) {
                return refuse(&format!("remove the volume {name}"), 409, format!("remove {name}: volume is in use"));
            }
            state.volumes.remove(name);
            Ok(())
        });
        call.await
    }

    async fn create(&self, spec: &CreateSpec<'_>) -> Result<String> {
        self.act(format!("create {}", spec.name), |state| state.create(spec)).await
    }

    async fn start(&self, container: &str) -> Result<()> {
        let name = self.lock().name(container);
        self.act(format!("start {name}"), |state| state.start(container)).await
    }

    async fn stop(&self, container: &str, _: Option<Duration>) -> Result<()> {
        let name = self.lock().name(container);
        let call = self.act(format!("stop {name}"), |state| {
            let running =
                |known: &super::state::Known| matches!(known.shown.running, Running::Running | Running::Restarting | Running::Paused);
            if let Some(known) = state.find(container).filter(|known| running(known)) {
                known.end(0, true);
                state.happens("die", container);
                state.happens("stop", container);
            }
            Ok(())
        });
        call.await
    }

    async fn remove(&self, container: &str) -> Result<()> {
        let name = self.lock().name(container);
        let call = self.act(format!("remove {name}"), |state| {
            state.happens("destroy", container);
            state.containers.retain(|known| known.shown.id != container && known.shown.name != container);
            Ok(())
        });
        call.await
    }

    async fn discard(&self, container: &str) -> Result<()> {
        self.remove(container).await
    }

    async fn rename(&self, container: &str, name: &str) -> Result<()> {
        let before = self.lock().name(container);
        self.act(format!("rename {before} to {name}"), |state| state.rename(container, name)).await
    }

    async fn logs(&self, container: &str, lines: usize) -> Result<String> {
        let text = self.look(|state| {
            let name = state.need(container, &format!("read the log of {container}"))?.shown.name.clone();
            Ok::<_, Error>(state.logs.get(&name).cloned().unwrap_or_default())
        });
        let text = text.await?;
        let all: Vec<&str> = text.lines().collect();
        Ok(all[all.len().saturating_sub(lines)..].join("\n"))
    }

    async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<ExecOutput> {
        let name = self.lock().name(container);
        let call = self.act(format!("exec {name} {}", spec.command.join(" ")), |state| {
            let doing = format!("run {} in {container}", spec.command.first().map_or("nothing", String::as_str));
            let known = state.need(container, &doing)?;
            if known.shown.running != Running::Running {
                return refuse(&doing, 409, format!("container {} is not running", known.shown.id));
            }
            Ok(state.programs.get(&name).map_or_else(ExecOutput::default, |program| program.exec(spec)))
        });
        call.await
    }

    async fn open_exec(&self, container: &str, spec: &ExecSpec) -> Result<ExecSession> {
        let name = self.lock().name(container);
        let call = self.act(format!("begin {name} {}", spec.command.join(" ")), |state| {
            let doing = format!("run {} in {container}", spec.command.first().map_or("nothing", String::as_str));
            let known = state.need(container, &doing)?;
            if known.shown.running != Running::Running {
                return refuse(&doing, 409, format!("container {} is not running", known.shown.id));
            }
            let code = Arc::new(AtomicI64::new(session::RUNS));
            state.sessions.push(code.clone());
            Ok((state.sessions.len() - 1, state.programs.get(&name).cloned(), code))
        });
        let (number, program, code) = call.await?;
        Ok(session::begin(number.to_string(), program, spec.clone(), code))
    }

    async fn exec_state(&self, id: &str) -> Result<ExecState> {
        let known = self.look(|state| Some(state.sessions.get(id.parse::<usize>().ok()?)?.load(Ordering::SeqCst)));
        match known.await {
            Some(session::RUNS) => Ok(ExecState { running: true, exit_code: None }),
            Some(code) => Ok(ExecState { running: false, exit_code: Some(code) }),
            None => refuse("look at a command in a container", 404, format!("No such exec instance: {id}")),
        }
    }
}
