"""What a failed RunTask means for the attempt."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ParamValidationError,
    ReadTimeoutError,
)

from barbeque_py.errors import ExecutorUnavailable, LaunchRefused, NoCapacity, Throttled
from barbeque_py.executors.ecs_answer import conflicting, meaning, names_inactive, no_capacity


def an_error(code: str, words: str = "words of ECS", status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": words},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": "1",
                "HostId": "",
                "HTTPHeaders": {},
                "RetryAttempts": 0,
            },
        },
        "RunTask",
    )


@pytest.mark.parametrize(
    "code",
    [
        "AccessDeniedException",
        "ClientException",
        "ClusterNotFoundException",
        "InvalidParameterException",
        "PlatformTaskDefinitionIncompatibilityException",
        "PlatformUnknownException",
        "UnsupportedFeatureException",
    ],
)
def test_a_definite_no_is_the_definitions_fault_in_the_words_of_ecs(code: str) -> None:
    fault = meaning(an_error(code))
    assert isinstance(fault, LaunchRefused)
    assert fault.blame_definition
    assert "words of ECS" in fault.reason
    assert code in fault.reason


def test_what_the_sdk_does_not_even_send_is_a_definite_no() -> None:
    assert isinstance(meaning(ParamValidationError(report="no")), LaunchRefused)


@pytest.mark.parametrize(
    "words",
    [
        "You've reached the limit on the number of tasks that you can run concurrently",
        "You\u2019ve reached the limit on the number of vCPUs you can run concurrently",
        "The limit of tasks in the PROVISIONING state was exceeded",
        "No Container Instances were found in your cluster.",
        "Capacity is unavailable at this time. Please try again later",
    ],
)
@pytest.mark.parametrize("code", ["ClientException", "InvalidParameterException"])
def test_a_full_account_or_cluster_is_no_capacity(code: str, words: str) -> None:
    fault = meaning(an_error(code, words))
    assert isinstance(fault, NoCapacity)
    assert words in str(fault)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ThrottlingException", "Rate exceeded"),
        ("ClientException", "Rate exceeded"),
        ("ServerException", "Too many concurrent requests"),
        ("TooManyRequestsException", ""),
    ],
)
def test_a_throttle_is_one_also_where_it_hides(code: str, words: str) -> None:
    assert isinstance(meaning(an_error(code, words)), Throttled)


@pytest.mark.parametrize(
    "error",
    [
        an_error("ServerException", status=500),
        an_error("ServiceUnavailableException", status=503),
        an_error("ExpiredTokenException"),
        an_error("UnrecognizedClientException"),
        an_error("SomethingNewException"),
        ReadTimeoutError(endpoint_url="http://ecs"),
        ConnectionClosedError(endpoint_url="http://ecs"),
    ],
)
def test_all_else_is_unknown_and_costs_nothing(error: Exception) -> None:
    fault = meaning(error)
    assert type(fault) is ExecutorUnavailable


def test_a_blocked_account_is_told_loudly_and_costs_no_attempt() -> None:
    fault = meaning(an_error("BlockedException"))
    assert type(fault) is ExecutorUnavailable
    assert "contact AWS Support" in str(fault)


def test_a_task_that_was_not_placed_is_no_capacity_in_the_words_of_ecs() -> None:
    assert "RESOURCE:MEMORY" in str(no_capacity([{"arn": "a", "reason": "RESOURCE:MEMORY"}]))
    assert "AGENT - gone" in str(no_capacity([{"reason": "AGENT", "detail": "gone"}]))
    assert "does not say why" in str(no_capacity([{}]))


def test_a_conflict_names_the_task_that_the_token_has_started() -> None:
    conflict = an_error("ConflictException")
    assert conflicting(conflict) == []
    conflict.response["resourceIds"] = ["arn:a"]
    assert conflicting(conflict) == ["arn:a"]
    assert conflicting(an_error("ClientException")) is None


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        ("TaskDefinition is inactive", True),
        ("TaskDefinition not found.", True),
        ("Unable to describe task definition.", True),
        ("Task definition does not support launch_type FARGATE.", False),
    ],
)
def test_a_task_definition_that_is_gone_is_recognized(words: str, gone: object) -> None:
    assert names_inactive(an_error("ClientException", words)) is gone
