//! CAA (RFC 8659, 8657): who may issue for a name, by the records at it or at the nearest of its parents that has any.

use hickory_proto::rr::rdata::CAA;
use hickory_proto::rr::{Name, RData, RecordType};

use super::{Challenge, Finding, Options, Severity, unresolved};
use crate::acme::dns::resolve::{Resolvers, shown};

/// Properties that say nothing about issuing web certificates (IANA's registry).
const OTHERS: [&str; 5] = ["iodef", "contactemail", "contactphone", "issuemail", "issuevmc"];

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    critical: bool,
    tag: String,
    value: String,
}

impl Rule {
    fn of(data: &CAA) -> Self {
        Self {
            critical: data.issuer_critical,
            tag: data.tag.to_ascii_lowercase(),
            value: String::from_utf8_lossy(&data.value).chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        }
    }

    fn shown(&self) -> String {
        format!("{} {} \"{}\"", if self.critical { 128 } else { 0 }, self.tag, self.value)
    }
}

/// Who asks for what.
struct Question<'a> {
    wildcard: bool,
    challenge: Challenge,
    identities: &'a [String],
    account: Option<&'a str>,
}

pub(super) async fn look(
    name: &str,
    base: &Name,
    wildcard: bool,
    challenge: Challenge,
    options: &Options<'_>,
    resolvers: &Resolvers,
) -> Option<Finding> {
    let question = Question { wildcard, challenge, identities: options.identities, account: options.account };
    let mut at = base.clone();
    // The root itself has none, and is not asked.
    while !at.is_root() {
        let answer = match resolvers.ask(&at, RecordType::CAA).await {
            Ok(answer) => answer,
            Err(failure) => return Some(unresolved(name, &format!("the CAA records of {}", shown(&at)), &failure, resolvers).await),
        };
        let mut rules: Vec<Rule> = answer
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::CAA(data) => Some(Rule::of(data)),
                _ => None,
            })
            .collect();
        // A server turns their order with every answer.
        rules.sort();
        if !rules.is_empty() {
            return question.forbidden(&rules).map(|why| question.finding(name, &shown(&at), &rules, &why));
        }
        at = at.base_name();
    }
    None
}

impl Question<'_> {
    /// Why these records do not allow it; None when they do, or when nobody can tell.
    fn forbidden(&self, rules: &[Rule]) -> Option<String> {
        let known = |tag: &str| ["issue", "issuewild"].contains(&tag) || OTHERS.contains(&tag);
        if let Some(strange) = rules.iter().find(|rule| rule.critical && !known(&rule.tag)) {
            return Some(format!("`{}` is marked as critical, and no authority knows it", strange.tag));
        }
        let with = |tag: &str| rules.iter().filter(|rule| rule.tag == tag).collect::<Vec<_>>();
        let (issue, wild) = (with("issue"), with("issuewild"));
        // Section 4.3: for a wildcard, `issuewild` alone counts where there is one.
        let relevant = if self.wildcard && !wild.is_empty() { wild } else { issue };
        if relevant.is_empty() {
            return None;
        }
        let parsed: Vec<(String, Vec<(String, String)>)> = relevant.iter().map(|rule| parse(&rule.value)).collect();
        if parsed.iter().all(|(issuer, _)| issuer.is_empty()) {
            return Some("nobody may issue".to_owned());
        }
        if self.identities.is_empty() {
            return None;
        }
        let ours = |issuer: &str| self.identities.iter().any(|identity| identity.eq_ignore_ascii_case(issuer));
        let mut ours: Vec<&Vec<(String, String)>> =
            parsed.iter().filter(|(issuer, _)| ours(issuer)).map(|(_, parameters)| parameters).collect();
        if ours.is_empty() {
            return Some(format!(
                "only {} may issue",
                parsed.iter().map(|(issuer, _)| issuer.as_str()).filter(|i| !i.is_empty()).collect::<Vec<_>>().join(", ")
            ));
        }
        ours.retain(|parameters| self.fits(parameters));
        ours.is_empty().then(|| "it is bound to another account or another kind of proof".to_owned())
    }

    /// RFC 8657: an account that we do not know yet may be ours.
    fn fits(&self, parameters: &[(String, String)]) -> bool {
        parameters.iter().all(|(key, value)| match key.as_str() {
            "accounturi" => self.account.is_none_or(|account| account == value),
            "validationmethods" => value.split(',').any(|method| method.trim() == self.challenge.as_str()),
            _ => true,
        })
    }

    fn finding(&self, name: &str, at: &str, rules: &[Rule], why: &str) -> Finding {
        let records = rules.iter().map(Rule::shown).collect::<Vec<_>>().join(", ");
        let tag = if self.wildcard && rules.iter().any(|rule| rule.tag == "issuewild") { "issuewild" } else { "issue" };
        let next = match self.identities.first() {
            Some(identity) => format!("add at the provider of your domain: {at} CAA 0 {tag} \"{identity}\""),
            None => format!("change the CAA records of {at} at the provider of your domain"),
        };
        Finding::new(name, Severity::Refuse, format!("the CAA records of {at} forbid it: {why} ({records})"), next)
    }
}

/// `ca.example; key=value; …`: the authority, empty for nobody, and its parameters.
fn parse(value: &str) -> (String, Vec<(String, String)>) {
    let mut parts = value.split(';').map(str::trim);
    let issuer = parts.next().unwrap_or_default().trim_end_matches('.').to_owned();
    let pair = |part: &str| part.split_once('=').map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim().to_owned()));
    (issuer, parts.filter_map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rules: &[(&str, &str)], wildcard: bool) -> Option<String> {
        let identities = ["ca.test".to_owned(), "ca2.test".to_owned()];
        let rules: Vec<Rule> = rules
            .iter()
            .map(|(tag, value)| Rule {
                critical: tag.starts_with('!'),
                tag: tag.trim_start_matches('!').to_owned(),
                value: (*value).to_owned(),
            })
            .collect();
        Question { wildcard, challenge: Challenge::Dns01, identities: &identities, account: Some("https://ca.test/1") }.forbidden(&rules)
    }

    #[test]
    fn what_forbids_is_told() {
        assert_eq!(said(&[("issue", ";")], false).as_deref(), Some("nobody may issue"));
        assert_eq!(said(&[("issue", "other.test")], false).as_deref(), Some("only other.test may issue"));
        assert_eq!(said(&[("issue", "ca.test"), ("issuewild", ";")], true).as_deref(), Some("nobody may issue"));
        assert!(said(&[("!tbs", "x"), ("issue", "ca.test")], false).unwrap().contains("`tbs` is marked as critical"));
        let bound = Some("it is bound to another account or another kind of proof".to_owned());
        assert_eq!(said(&[("issue", "ca.test; accounturi=https://ca.test/2")], false), bound);
        assert_eq!(said(&[("issue", "ca.test;validationmethods=http-01")], false), bound);
    }

    #[test]
    fn what_allows_is_let_through() {
        let allowed: [(&[(&str, &str)], bool); 9] = [
            (&[], false),
            (&[("iodef", "mailto:a@b.c")], false),
            (&[("!iodef", "mailto:a@b.c")], false),
            (&[("issue", "other.test"), ("issue", "CA.test")], false),
            (&[("issue", "ca2.test")], true),
            (&[("issue", "other.test"), ("issuewild", "ca.test")], true),
            (&[("issuewild", ";")], false),
            (&[("issue", " ca.test ; accounturi = https://ca.test/1 ; policy=ev")], false),
            (&[("issue", "ca.test; validationmethods=http-01,dns-01")], false),
        ];
        for (rules, wildcard) in allowed {
            assert_eq!(said(rules, wildcard), None, "{rules:?}");
        }
    }

    #[test]
    fn an_authority_without_a_name_is_judged_only_where_nobody_may() {
        let question = Question { wildcard: false, challenge: Challenge::Http01, identities: &[], account: None };
        let rule = |value: &str| Rule { critical: false, tag: "issue".to_owned(), value: value.to_owned() };
        assert_eq!(question.forbidden(&[rule("other.test")]), None);
        assert!(question.forbidden(&[rule(";")]).is_some());
    }
}
