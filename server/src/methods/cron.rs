//! Group `cron`: jobs that run by the clock.

use openclaw_protocol::methods::Method;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::server::CronMethods;
use openclaw_protocol::types::{
    CronAddRequest, CronJob, CronListParams, CronListResult, CronRemoveParams, CronRemoveResult,
    CronRunMode, CronRunParams, CronRunResult, CronRunResultReason, CronRunsParams, CronRunsResult,
    CronStatusParams, CronStatusResult, CronUpdateRequest, ErrorShape,
};

use super::{Methods, unreadable};
use crate::connection::Caller;
use crate::cron::{self, CronError};

impl CronMethods<Caller> for Methods {
    async fn cron_list(
        &self,
        _: &Caller,
        params: CronListParams,
    ) -> Result<CronListResult, ErrorShape> {
        let with_disabled = params.include_disabled.unwrap_or(false);
        Ok(CronListResult::new(self.cron.list(with_disabled)))
    }

    async fn cron_status(
        &self,
        _: &Caller,
        _: CronStatusParams,
    ) -> Result<CronStatusResult, ErrorShape> {
        Ok(self.cron.status())
    }

    async fn cron_add(&self, _: &Caller, request: CronAddRequest) -> Result<CronJob, ErrorShape> {
        let params = cron::new_job(request)?;
        let added = self.cron.add(params).await;
        added.map_err(|error| error.shape())
    }

    async fn cron_update(
        &self,
        _: &Caller,
        request: CronUpdateRequest,
    ) -> Result<CronJob, ErrorShape> {
        let (id, patch) = cron::update(request)?;
        let updated = self.cron.update(&id, patch).await;
        updated.map_err(|error| error.shape())
    }

    async fn cron_remove(
        &self,
        _: &Caller,
        params: CronRemoveParams,
    ) -> Result<CronRemoveResult, ErrorShape> {
        let id = cron::one_id(Method::CronRemove, params.id, params.job_id)?;
        let removed = self.cron.remove(&id).await.map_err(|error| error.shape())?;
        Ok(CronRemoveResult::new(true, removed))
    }

    async fn cron_run(
        &self,
        _: &Caller,
        params: CronRunParams,
    ) -> Result<CronRunResult, ErrorShape> {
        let id = cron::one_id(Method::CronRun, params.id, params.job_id)?;
        let mode = params.mode.unwrap_or(CronRunMode::Due);
        let ran = self.cron.run(&id, mode).await;
        let ran = ran.map_err(|error: CronError| error.shape())?;
        let mut result = CronRunResult::new(true, ran);
        result.reason = (!ran).then_some(CronRunResultReason::NotDue);
        Ok(result)
    }

    async fn cron_runs(
        &self,
        _: &Caller,
        params: CronRunsParams,
    ) -> Result<CronRunsResult, ErrorShape> {
        let id = cron::one_id(Method::CronRuns, params.id, params.job_id)?;
        let limit = params
            .limit
            .unwrap_or(limits::CRON_RUNS_DEFAULT)
            .min(limits::CRON_RUNS_MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let cron = self.cron.clone();
        let read = move || cron.runs(&id, limit).map_err(|error| unreadable(&error));
        self.aside(read).await.map(CronRunsResult::new)
    }
}
