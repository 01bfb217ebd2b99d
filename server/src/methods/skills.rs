//! Group `skills`: so far the programs that skills need.

use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::server::SkillsMethods;
use openclaw_protocol::types::{ErrorShape, SkillsBinsParams, SkillsBinsResult};
use openclaw_protocol::unfinished;

use super::Methods;
use crate::connection::Caller;

impl SkillsMethods<Caller> for Methods {
    unfinished!(Caller: skills_status, skills_install, skills_update);

    async fn skills_bins(
        &self,
        _: &Caller,
        _: SkillsBinsParams,
    ) -> Result<SkillsBinsResult, ErrorShape> {
        let skills = self.skills.clone();
        let bins = self.aside(move || Ok(skills.bins())).await?;
        let bins = bins.into_iter().filter_map(NonEmptyString::new);
        Ok(SkillsBinsResult::new(bins.collect()))
    }
}
