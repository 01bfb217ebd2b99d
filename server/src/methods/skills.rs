//! Group `skills`: `skills.status`, `skills.bins`.

use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::server::SkillsMethods;
use openclaw_protocol::types::{
    ErrorShape, SkillsBinsParams, SkillsBinsResult, SkillsStatusParams, SkillsStatusResult,
};
use openclaw_protocol::unfinished;

use super::Methods;
use crate::connection::Caller;

impl SkillsMethods<Caller> for Methods {
    unfinished!(Caller: skills_install, skills_update);

    async fn skills_status(
        &self,
        _: &Caller,
        _: SkillsStatusParams,
    ) -> Result<SkillsStatusResult, ErrorShape> {
        let parts = self.runs.parts();
        let (skills, workspace) = (parts.skills.clone(), parts.default_workspace());
        self.aside(move || Ok(skills.status(&workspace))).await
    }

    async fn skills_bins(
        &self,
        _: &Caller,
        _: SkillsBinsParams,
    ) -> Result<SkillsBinsResult, ErrorShape> {
        let skills = self.runs.parts().skills.clone();
        let bins = self.aside(move || Ok(skills.bins())).await?;
        let bins = bins.into_iter().filter_map(NonEmptyString::new);
        Ok(SkillsBinsResult::new(bins.collect()))
    }
}
