//! The expectations, by what they are about.

pub mod agent;
pub mod api;
pub mod cards;
pub mod certificates;
pub mod events;
pub mod nodes;
pub mod traps;
pub mod work;

use std::time::Duration;

/// Against hanging only; far above what any step takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Calls `$each!` with the path of every expectation: `module::name`.
#[macro_export]
macro_rules! for_each_expectation {
    ($each:ident) => {
        $each! {
            traps::trap_1_health_is_ok_while_registration_is_denied,
            traps::trap_2_the_agents_environment_leaks_into_raw_exec_tasks,
            traps::trap_3_a_drain_is_over_before_the_task_has_ended,
            traps::trap_4_exit_status_0_does_not_mean_drained,
            traps::trap_5_a_denied_event_stream_is_200_and_silent,
            traps::trap_6_purging_a_node_revokes_nothing,
            traps::trap_7_an_inherited_aws_ca_bundle_ends_the_agent_at_its_start,
            traps::trap_8_a_drained_node_stays_ineligible_across_restarts,
            nodes::a_node_with_an_introduction_becomes_ready,
            nodes::a_wrong_introduction_is_denied_and_the_server_says_why,
            nodes::a_registered_data_dir_needs_no_introduction_again,
            nodes::drain_eligibility_and_purge_answer_as_recorded,
            nodes::a_draining_node_cannot_be_made_eligible,
            nodes::a_vanished_client_makes_its_node_down_and_its_work_lost,
            nodes::node_pools_are_read_back_as_recorded,
            work::a_job_runs_with_its_files_and_environment,
            work::a_batch_job_completes,
            work::a_failed_task_is_told_with_its_exit_code,
            work::a_job_without_a_node_waits_in_a_blocked_evaluation,
            work::stopping_an_allocation_needs_alloc_lifecycle_and_moves_it_off,
            work::deleting_a_job_stops_its_allocation,
            work::a_stubborn_task_is_killed_after_the_shorter_timeout,
            cards::a_node_tells_its_cards_as_the_plugin_does,
            cards::a_job_gets_the_card_that_was_chosen_for_it_and_no_other,
            cards::a_job_that_asks_for_several_cards_gets_as_many_or_waits,
            cards::a_jobs_own_word_does_not_outrank_the_card_that_it_was_given,
            cards::a_card_that_fails_is_given_to_nobody_until_it_is_back,
            cards::a_card_that_is_not_lent_is_never_given,
            cards::an_agent_that_is_told_of_no_lent_card_has_none,
            cards::the_plugin_ends_with_its_agent,
            agent::a_terminated_agent_leaves_its_tasks_and_finds_them_again,
            agent::an_interrupted_agent_drains_and_exits_0,
            agent::an_agent_that_never_registered_ends_badly_when_interrupted,
            agent::a_second_interrupt_ends_the_agent_at_once,
            agent::a_port_in_use_ends_the_agent,
            agent::a_loopback_address_must_be_advertised,
            agent::orphans_look_as_described,
            agent::configuration_is_validated,
            agent::the_version_is_told,
            agent::local_endpoints_answer_as_recorded_without_a_token,
            agent::local_metrics_tell_the_node_status,
            agent::a_normal_start_is_logged_as_recorded,
            certificates::an_expired_certificate_is_refused_in_go_s_words,
            certificates::a_certificate_of_another_authority_is_refused,
            certificates::a_certificate_of_another_region_is_refused,
            certificates::a_client_that_trusts_another_authority_says_so,
            certificates::a_missing_certificate_ends_the_agent,
            certificates::a_server_name_from_the_clients_authority_is_refused,
            certificates::a_replaced_certificate_is_taken_on_hangup,
            api::errors_are_as_recorded,
            api::an_introduction_token_is_as_recorded,
            api::an_anonymous_token_reads_itself_and_an_unknown_one_is_denied,
            api::the_gateways_policy_is_enough_and_least,
            api::a_blocking_query_waits_and_wakes,
            api::bootstrapping_twice_is_refused,
            events::the_stream_starts_with_an_empty_object_and_replays,
            events::the_events_of_a_job_and_a_drain_come_as_recorded,
            events::a_failed_allocation_that_is_placed_again_is_written_to_by_the_servers,
        }
    };
}
