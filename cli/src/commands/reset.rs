//! `monthend reset`

use local::{Home, HomeKind};

use crate::Ended;
use crate::args;
use crate::output::Output;
use crate::session::home_folder;

pub(crate) fn reset(reset: &args::Reset, output: &Output) -> anyhow::Result<Ended> {
    let folder = home_folder();
    if !folder.exists() {
        output.note(&format!("{} is not there, nothing to remove", folder.display()));
        return Ok(Ended::Done);
    }
    let home = Home::open(&folder)?;
    anyhow::ensure!(
        reset.yes || home.kind() != Some(HomeKind::Own),
        "{} holds your own data; to remove it, say so: monthend reset --yes",
        folder.display()
    );
    home.reset()?;
    output.note(&format!("removed all state in {}", folder.display()));
    Ok(Ended::Done)
}
