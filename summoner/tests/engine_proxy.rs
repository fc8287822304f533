//! nginx-proxy's contract, case by case: real containers, real nginx, real requests; and what a hostile or broken container
//! can do to the others, which is nothing.

#[path = "proxy/ask.rs"]
mod ask;
#[path = "proxy/engine.rs"]
mod engine;
#[path = "proxy/hostile.rs"]
mod hostile;
#[path = "proxy/read.rs"]
mod read;
#[path = "proxy/run.rs"]
mod run;
#[path = "proxy/tree.rs"]
mod tree;

/// One test a table: a world of its own.
macro_rules! tables {
    ($($name:ident)*) => {
        const TABLES: &[(&str, &str)] = &[$((stringify!($name), include_str!(concat!("proxy/cases/", stringify!($name), ".txt")))),*];
        $(#[test]
        fn $name() {
            let (name, table) = TABLES.iter().find(|(name, _)| *name == stringify!($name)).unwrap();
            run::table(name, table);
        })*
    };
}

tables! { ports paths headers tls files globals defaults untrusted custom proxied host joins }

#[test]
fn the_suite_is_large_enough() {
    let count: usize = TABLES.iter().map(|(name, table)| read::world(name, table).cases.len()).sum();
    assert!(count >= 150, "{count} cases");
}
