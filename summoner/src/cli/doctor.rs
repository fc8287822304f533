//! stub
#[derive(Debug, clap::Args)]
pub struct Args {}
pub(super) async fn run(_: &super::context::Context, _: &Args) -> crate::error::Result<u8> {
    Ok(0)
}
