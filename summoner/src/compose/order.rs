//! The order in which services start: what is depended on first, else by name. Pure.

use std::collections::BTreeMap;

use super::model::Project;

/// Services so that each comes after everything it depends on; ties go by name, so the order is always the same.
///
/// A project that [`super::load`] gave has no cycles; of one that was made otherwise the members of a cycle come last.
#[must_use]
pub fn start_order(project: &Project) -> Vec<String> {
    let mut waiting: BTreeMap<&str, Vec<&str>> = project.services.keys().map(|name| (name.as_str(), needs(project, name))).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting.iter().find(|(_, needs)| needs.iter().all(|need| !waiting.contains_key(need))).map(|(name, _)| *name);
        let Some(next) = ready.or_else(|| waiting.keys().next().copied()) else { break };
        waiting.remove(next);
        order.push(next.to_owned());
    }
    order
}

/// One circle of dependencies, first and last the same; None when there is none.
pub(super) fn cycle(project: &Project) -> Option<Vec<String>> {
    // Take away what depends on nothing that is left, until only circles and what leads into them remain.
    let mut left: BTreeMap<&str, Vec<&str>> = project.services.keys().map(|name| (name.as_str(), needs(project, name))).collect();
    loop {
        let free: Vec<&str> =
            left.iter().filter(|(_, needs)| needs.iter().all(|need| !left.contains_key(need))).map(|(name, _)| *name).collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|name| drop(left.remove(name)));
    }
    let mut path: Vec<&str> = vec![left.keys().next()?];
    loop {
        let last = path.last()?;
        let next = left.get(last)?.iter().find(|need| left.contains_key(**need))?;
        if let Some(at) = path.iter().position(|name| name == next) {
            path.push(next);
            return Some(path[at..].iter().map(|name| (*name).to_owned()).collect());
        }
        path.push(next);
    }
}

fn needs<'p>(project: &'p Project, name: &str) -> Vec<&'p str> {
    let service = project.services.get(name);
    let names = service.into_iter().flat_map(|service| service.depends_on.keys()).map(String::as_str);
    names.filter(|need| project.services.contains_key(*need)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::model::{Condition, Dependency, Service};
    use super::*;

    fn project(edges: &[(&str, &[&str])]) -> Project {
        let mut project = Project::default();
        for (name, needs) in edges {
            let dependency = Dependency { condition: Condition::Started, required: true, restart: false };
            let depends_on = needs.iter().map(|need| ((*need).to_owned(), dependency.clone())).collect();
            project.services.insert((*name).to_owned(), Service { depends_on, ..Service::default() });
        }
        project
    }

    #[test]
    fn what_is_needed_comes_first() {
        let project = project(&[("app", &["db", "cache"]), ("cache", &[]), ("db", &["init"]), ("init", &[]), ("a", &["app"])]);
        assert_eq!(start_order(&project), ["cache", "init", "db", "app", "a"]);
        assert_eq!(cycle(&project), None);
    }

    #[test]
    fn a_circle_is_found_whole() {
        let project = project(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &[])]);
        assert_eq!(cycle(&project).unwrap(), ["b", "c", "b"]);
        assert_eq!(start_order(&project).len(), 4);
    }

    #[test]
    fn a_service_that_needs_itself_is_a_circle() {
        assert_eq!(cycle(&project(&[("a", &["a"])])).unwrap(), ["a", "a"]);
    }
}
