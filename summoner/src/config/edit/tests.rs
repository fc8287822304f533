use proptest::prelude::*;

use super::*;
use crate::config::load::tests::loaded;

fn to(domain: &str) -> AppSettings {
    AppSettings { domain: Some(domain.parse().unwrap()), ..AppSettings::default() }
}

fn added(text: &str, name: &str) -> String {
    let new = add_app(text, name, &AppSettings::default()).unwrap();
    // Everything that was there still is, in its order.
    let mut rest = new.lines();
    for line in text.lines().filter(|line| !line.contains('{') && !line.contains('~')) {
        assert!(rest.any(|known| known == line), "{line:?} is lost or moved in {new}");
    }
    new
}

const COMMENTED: &str = "# our server\nversion: 1 # the form\ndomain: a.org\n\nemail: you@a.org\n# apps follow\napps: # here\n  # the blog\n  ghost: # mine\n    # big\n    resources: {memory: 2g} # enough\n  # the cloud\n  nextcloud:\n  # wekan is for later\n\n# backups\nbackup:\n  dump: \"0 1 * * *\"\n# the end\n";

#[test]
fn an_app_is_added_below_the_others() {
    insta::assert_snapshot!(added(COMMENTED, "mattermost"), @r#"
    # our server
    version: 1 # the form
    domain: a.org

    email: you@a.org
    # apps follow
    apps: # here
      # the blog
      ghost: # mine
        # big
        resources: {memory: 2g} # enough
      # the cloud
      nextcloud:
      # wekan is for later
      mattermost:

    # backups
    backup:
      dump: "0 1 * * *"
    # the end
    "#);
    let settings = AppSettings { minion: Some("ghost".into()), domain: Some("b.org".parse().unwrap()), subdomain: Some("@".into()) };
    let new = add_app("version: 1\ndomain: a.org\nemail: you@a.org\napps:\n    ghost:\n", "news", &settings).unwrap();
    assert_eq!(
        new,
        "version: 1\ndomain: a.org\nemail: you@a.org\napps:\n    ghost:\n    news:\n      minion: ghost\n      domain: b.org\n      subdomain: \"@\"\n"
    );
    assert_eq!(loaded(&new).0.instances[1].host.as_ref().unwrap().as_str(), "b.org");
}

#[test]
fn every_shape_of_apps_gains_one() {
    let head = "version: 1\ndomain: a.org\nemail: you@a.org\n";
    let shapes = [
        "apps:",
        "apps:\n",
        "apps: # none yet\n  # below\nx-a: 1\n",
        "apps: {} # none\n",
        "apps: ~\n",
        "apps: null\nx-a: 1",
        "apps: {ghost: }\n",
        "apps: {ghost: {subdomain: b}, nextcloud: }\n",
        "apps:\n  ghost:\n    version: |\n      5\n\n\nx-a: 1\n",
        "",
        "apps: &all\n  ghost: &g {version: 5}\n  nextcloud: *g\n",
        "apps:\n  {ghost: }\n",
    ];
    let shown: Vec<String> = shapes
        .iter()
        .map(|shape| {
            let new =
                add_app(&format!("{head}{shape}"), "wekan", &AppSettings::default()).unwrap_or_else(|error| format!("{head}{error:?}"));
            new.strip_prefix(head).unwrap().to_owned()
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n----\n"), @r"
    apps:
      wekan:
    ----
    apps:
      wekan:

    ----
    apps: # none yet
      # below
      wekan:
    x-a: 1

    ----
    apps: # none
      wekan:

    ----
    apps:
      wekan:

    ----
    apps:
      wekan:
    x-a: 1
    ----
    apps: {ghost: , wekan: }

    ----
    apps: {ghost: {subdomain: b}, nextcloud: , wekan: }

    ----
    apps:
      ghost:
        version: |
          5
      wekan:


    x-a: 1

    ----
    apps:
      wekan:

    ----
    apps: &all
      ghost: &g {version: 5}
      nextcloud: *g
      wekan:

    ----
    apps:
      {ghost: , wekan: }
    ");
}

#[test]
fn line_ends_stay_what_they_are() {
    let text = "version: 1\r\ndomain: a.org\r\nemail: you@a.org\r\napps:\r\n  ghost:\r\n# end";
    assert_eq!(add_app(text, "wekan", &AppSettings::default()).unwrap(), text.replace("ghost:\r\n", "ghost:\r\n  wekan:\r\n"));
    assert_eq!(add_app("apps:\n  ghost:", "wekan", &AppSettings::default()).unwrap(), "apps:\n  ghost:\n  wekan:");
    assert_eq!(remove_app(text, "ghost").unwrap(), text.replace("  ghost:\r\n", ""));
    let windows = format!("\u{feff}# é\r\n{text}");
    assert_eq!(add_app(&windows, "wekan", &AppSettings::default()).unwrap(), windows.replace("ghost:\r\n", "ghost:\r\n  wekan:\r\n"));
}

#[test]
fn an_app_is_removed_with_its_own_lines_only() {
    insta::assert_snapshot!(remove_app(COMMENTED, "ghost").unwrap(), @r#"
    # our server
    version: 1 # the form
    domain: a.org

    email: you@a.org
    # apps follow
    apps: # here
      # the blog
      # the cloud
      nextcloud:
      # wekan is for later

    # backups
    backup:
      dump: "0 1 * * *"
    # the end
    "#);
    for (text, left) in [
        ("apps: {ghost: , wekan: }\n", "apps: {wekan: }\n"),
        ("apps: {wekan: , ghost: {a: 1}}\n", "apps: {wekan: }\n"),
        ("apps: {ghost: }\n", "apps: {}\n"),
        ("apps:\n  ghost:\n    a:\n    - 1\nx-a: 1\n", "apps:\nx-a: 1\n"),
    ] {
        assert_eq!(remove_app(text, "ghost").unwrap_or_default(), left, "{text}");
    }
    // Others hang on its anchor.
    let anchored = "apps:\n  ghost: &g {version: 5}\n  wekan: *g\n";
    assert!(matches!(remove_app(anchored, "ghost"), Err(EditError::ByHand { .. })));
    let merged = "x-a: &a {ghost: {}}\napps:\n  <<: *a\n  wekan:\n";
    assert!(matches!(remove_app(merged, "ghost"), Err(EditError::ByHand { .. })));
}

#[test]
fn another_domain_joins_the_list() {
    let head = "version: 1\ndomain: a.org\nemail: you@a.org\napps:\n  ghost:";
    let shapes = [
        "\n",
        " # mine\n    version: 5\n",
        " {version: 5}\n",
        "\n    domain: c.org # old\n",
        "\n    domains: [a.org, c.org] # both\n",
        "\n    domains: c.org\n",
        "\n    domains:\n      - a.org # first\n      # second\n      - c.org\n    version: 5\n",
        " {}\n",
        "",
    ];
    let shown: Vec<String> = shapes
        .iter()
        .map(|shape| {
            let text = format!("{head}{shape}");
            let new = add_app(&text, "ghost", &to("b.org")).unwrap();
            let config = loaded(&new).0;
            assert_eq!(config.instances.last().unwrap().id.to_string(), "ghost-b.org");
            let back = remove_instance(&new, "ghost", &"b.org".parse().unwrap()).unwrap();
            assert_eq!(loaded(&back).0, loaded(&text).0, "{back}");
            format!("ghost:{}", new.strip_prefix(head).unwrap())
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    ghost:
        domains: [a.org, b.org]

    ghost: # mine
        domains: [a.org, b.org]
        version: 5

    ghost: {domains: [a.org, b.org], version: 5}

    ghost:
        domains: [c.org, b.org] # old

    ghost:
        domains: [a.org, c.org, b.org] # both

    ghost:
        domains: [c.org, b.org]

    ghost:
        domains:
          - a.org # first
          # second
          - c.org
          - b.org
        version: 5

    ghost:
        domains: [a.org, b.org]

    ghost:
        domains: [a.org, b.org]
    ");
    let there = add_app(&format!("{head}\n"), "ghost", &to("a.org")).unwrap_err();
    assert_eq!(there, EditError::AlreadyThere("ghost-a.org".into()));
    let aliased = add_app(&format!("{head} {{aliases: [x.org]}}\n"), "ghost", &to("b.org")).unwrap_err();
    assert_eq!(aliased, EditError::AlreadyThere("ghost".into()));
}

#[test]
fn the_form_of_2017_gains_and_loses_a_word() {
    let shapes = ["nginx ghost # all", "\"nginx ghost\"", "\n    - nginx\n    - ghost # blog", "[nginx, ghost]", ">\n    nginx\n    ghost"];
    for shape in shapes {
        let text = format!("# old\nsummoner:\n  domain: a.fr\n  applications: {shape}\n  vsroot: /srv/x # roots\n");
        let new = add_app(&text, "wekan", &AppSettings::default()).unwrap();
        assert_eq!(loaded(&new).0.instances.len(), 2, "{new}");
        assert_eq!(remove_app(&new, "wekan").unwrap(), text);
        assert_eq!(loaded(&remove_app(&new, "ghost").unwrap()).0.instances.len(), 1, "{new}");
    }
    let text = "summoner:\n  domain: a.fr\n  applications:\n";
    assert_eq!(add_app(text, "ghost", &AppSettings::default()).unwrap(), "summoner:\n  domain: a.fr\n  applications: ghost\n");
    assert_eq!(add_app(text, "ghost", &to("b.fr")), Err(EditError::Legacy));
}

#[test]
fn a_refusal_says_what_to_do() {
    let said: Vec<String> = [
        remove_app("apps:\n  ghost:\n", "gohst").unwrap_err(),
        add_app("apps:\n  ghost:\n", "ghost", &AppSettings::default()).unwrap_err(),
        add_app("x-a: &a {}\napps: *a\n", "ghost", &AppSettings { minion: Some("wekan".into()), ..AppSettings::default() }).unwrap_err(),
        add_app("summoner: {domain: a.fr}", "ghost", &to("b.fr")).unwrap_err(),
        add_app("apps:\n\tghost:", "wekan", &AppSettings::default()).unwrap_err(),
    ]
    .into_iter()
    .map(|error| Error::from(error).to_string())
    .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    error: cannot change config.yml: there is no `gohst` in the file; did you mean `ghost`?
      next:  summoner status
    error: cannot change config.yml: `ghost` is in the file already
      next:  choose another name with --as, or another domain with --domain
    error: cannot change config.yml: the file is written in a way that cannot be changed safely by a program
      next:  put this below `apps:` yourself:
               ghost:
                 minion: wekan
    error: cannot change config.yml: the file has the form of 2017, which has no place for settings of an app
      next:  summoner config migrate
    error: a tab indents this line: YAML wants spaces
     --> config.yml:2:2
      |
    2 |     ghost:
      |     ^

    error: cannot change config.yml: the file cannot be read as it is
    ");
}

/// A document without what adding and removing may leave: an empty `apps`.
fn meaning(text: &str) -> Value {
    let mut value: Value = serde_yaml::from_str(text).unwrap();
    let map = value.as_mapping_mut().unwrap();
    if map.get("apps").is_some_and(|apps| apps.is_null() || apps.as_mapping().is_some_and(serde_yaml::Mapping::is_empty)) {
        map.shift_remove("apps");
    }
    value
}

proptest! {
    #[test]
    fn adding_then_removing_changes_nothing(
        entries in proptest::collection::btree_map("[a-m][a-z0-9]{0,6}", prop_oneof![Just(""), Just(" # c"), Just(" {version: 5}"), Just("\n    # c\n    version: 5"), Just("\n    domains:\n    - a.org\n    - b.org # c")], 0..5),
        comments in proptest::collection::vec(prop_oneof![Just(""), Just("# top\n"), Just("  # deep\n"), Just("\n")], 8),
        crlf in any::<bool>(), last_line_end in any::<bool>(), with in any::<bool>(),
    ) {
        let mut comment = comments.into_iter().cycle();
        let mut next = || comment.next().unwrap_or_default();
        let mut text = format!("version: 1\n{}domain: a.org\n{}apps:\n{}", next(), next(), next());
        for (name, value) in &entries {
            text.push_str(&format!("  {name}:{value}\n{}", next()));
        }
        text.push_str(&format!("email: you@a.org\n{}", next()));
        if !last_line_end { text.truncate(text.trim_end().len()); }
        if crlf { text = text.replace('\n', "\r\n"); }
        let settings = if with { to("c.org") } else { AppSettings::default() };
        let new = add_app(&text, "zulu", &settings).unwrap();
        prop_assert!(meaning(&new) != meaning(&text));
        let back = remove_app(&new, "zulu").unwrap();
        prop_assert_eq!(meaning(&back), meaning(&text));
        prop_assert_eq!(&back, &text);
    }
}

#[test]
fn storage_moves_and_everything_else_stays() {
    let moved = |text: &str| set_storage(text, Path::new("/new/data"), Path::new("/new/databases"));
    let wanted = "storage:\n  files: \"/new/data\"\n  databases: \"/new/databases\"\n";
    let plain = "version: 1\ndomain: a.org # ours\napps:\n  ghost:\n";
    assert_eq!(moved(plain).unwrap(), format!("{plain}{wanted}"));
    let block = "version: 1\ndomain: a.org # ours\nstorage:\n  files: ./data\napps:\n  ghost:\n";
    assert_eq!(moved(block).unwrap(), format!("{plain}{wanted}"));
    let flow = "version: 1\ndomain: a.org # ours\nstorage: {files: /srv/a, databases: /srv/b}\napps:\n  ghost:\n";
    assert_eq!(moved(flow).unwrap(), format!("{plain}{wanted}"));
    assert!(moved("summoner:\n  domain: a.org\n  applications: ghost\n").is_err());
}
