"""Every right that our roles have in AWS, and no other: what the templates are compared with.

One line a right: action, what on, and the condition if there is one. `<Name.Arn>` is what the
template makes or is told under that name.
"""

ACCOUNT = "us-east-1:123456789012"
QUEUES = f"arn:aws:sqs:{ACCOUNT}:bq-prod01-*"
JOB_LINES = f"arn:aws:logs:{ACCOUNT}:log-group:<JobLogs>:*"
SERVICE_LINES = f"arn:aws:logs:{ACCOUNT}:log-group:<ServiceLogs>:*"
APPS = "arn:aws:ecr:*:*:repository/apps/*"
OBJECTS = "arn:aws:s3:::<Bucket>/logs/*"
TOPICS = "arn:aws:sns:*:*:*"
BY_S3 = "StringEquals kms:ViaService s3.us-east-1.amazonaws.com"
BY_SECRETS = "StringEquals kms:ViaService secretsmanager.us-east-1.amazonaws.com"
ON_JOBS = "ArnEquals ecs:cluster <JobCluster.Arn>"
TO_TASKS = "StringEquals iam:PassedToService ecs-tasks.amazonaws.com"

_READING_LOGS = (
    f"logs:GetLogEvents {JOB_LINES}",
    f"logs:DescribeLogStreams {JOB_LINES}",
    "s3:ListBucket arn:aws:s3:::<Bucket>",
    f"s3:GetObject {OBJECTS}",
    f"s3:PutObject {OBJECTS}",
    f"s3:AbortMultipartUpload {OBJECTS}",
    f"kms:Decrypt <KeyArn> if {BY_S3}",
    f"kms:GenerateDataKey <KeyArn> if {BY_S3}",
)

RIGHTS: dict[str, set[str]] = {
    "WorkerRole": {
        f"sqs:GetQueueUrl {QUEUES}",
        f"sqs:ReceiveMessage {QUEUES}",
        f"sqs:DeleteMessage {QUEUES}",
        f"sqs:ChangeMessageVisibility {QUEUES}",
        f"sqs:SendMessage {QUEUES}",
        f"sqs:GetQueueAttributes {QUEUES}",
        f"sqs:ListQueueTags {QUEUES}",
        "sqs:GetQueueUrl <TaskEvents.Arn>",
        "sqs:ReceiveMessage <TaskEvents.Arn>",
        "sqs:DeleteMessage <TaskEvents.Arn>",
        "sqs:ChangeMessageVisibility <TaskEvents.Arn>",
        "sqs:GetQueueAttributes <TaskEvents.Arn>",
        f"ecs:RunTask arn:aws:ecs:{ACCOUNT}:task-definition/barbeque-prod01-*:* if {ON_JOBS}",
        f"ecs:DescribeTasks arn:aws:ecs:{ACCOUNT}:task/<JobCluster>/*",
        f"ecs:StopTask arn:aws:ecs:{ACCOUNT}:task/<JobCluster>/*",
        f"ecs:ListTasks * if {ON_JOBS}",
        "ecs:DescribeClusters <JobCluster.Arn>",
        "ecs:RegisterTaskDefinition *",
        "ecs:TagResource * if StringEquals ecs:CreateAction RunTask,RegisterTaskDefinition",
        f"iam:PassRole <JobExecutionRole.Arn> if {TO_TASKS}",
        f"iam:PassRole arn:aws:iam::123456789012:role/barbeque/prod01/jobs/* if {TO_TASKS}",
        f"ecr:BatchGetImage {APPS}",
        f"s3:DeleteObject {OBJECTS}",
        f"sns:ConfirmSubscription {TOPICS}",
        *_READING_LOGS,
        # for `barbeque check`
        "ec2:DescribeSubnets *",
        "ec2:DescribeSecurityGroups *",
        "events:ListRuleNamesByTarget *",
        "events:DescribeRule <TaskEventsRule.Arn>",
        "iam:GetRole arn:aws:iam::123456789012:role/barbeque/prod01/*",
        "iam:SimulatePrincipalPolicy arn:aws:iam::123456789012:role/barbeque/prod01/*",
        "s3:GetLifecycleConfiguration arn:aws:s3:::<Bucket>",
    },
    "ApiRole": {
        f"sqs:GetQueueUrl {QUEUES}",
        f"sqs:SendMessage {QUEUES}",
        f"sqs:GetQueueAttributes {QUEUES}",
        f"sqs:CreateQueue {QUEUES}",
        f"sqs:TagQueue {QUEUES}",
        f"sqs:ListQueueTags {QUEUES}",
        f"sqs:SetQueueAttributes {QUEUES}",
        f"ecr:BatchGetImage {APPS}",
        f"sns:Subscribe {TOPICS}",
        f"sns:Unsubscribe {TOPICS}",
        *_READING_LOGS,
    },
    "ConsoleRole": {
        f"sqs:GetQueueUrl {QUEUES}",
        f"sqs:SendMessage {QUEUES}",
        f"sqs:GetQueueAttributes {QUEUES}",
        f"sqs:CreateQueue {QUEUES}",
        f"sqs:TagQueue {QUEUES}",
        f"sqs:ListQueueTags {QUEUES}",
        f"sqs:SetQueueAttributes {QUEUES}",
        f"ecr:BatchGetImage {APPS}",
        f"sns:Subscribe {TOPICS}",
        f"sns:Unsubscribe {TOPICS}",
        *_READING_LOGS,
    },
    "JobExecutionRole": {
        f"logs:CreateLogStream {JOB_LINES}",
        f"logs:PutLogEvents {JOB_LINES}",
        "ecr:GetAuthorizationToken *",
        f"ecr:BatchCheckLayerAvailability {APPS}",
        f"ecr:BatchGetImage {APPS}",
        f"ecr:GetDownloadUrlForLayer {APPS}",
        (
            f"secretsmanager:GetSecretValue arn:aws:secretsmanager:{ACCOUNT}:secret:"
            "barbeque/prod01/jobs/*"
        ),
        f"ssm:GetParameters arn:aws:ssm:{ACCOUNT}:parameter/barbeque/prod01/jobs/*",
    },
    "ServiceExecutionRole": {
        f"logs:CreateLogStream {SERVICE_LINES}",
        f"logs:PutLogEvents {SERVICE_LINES}",
        "ecr:GetAuthorizationToken *",
        "ecr:BatchCheckLayerAvailability <RepositoryArn>",
        "ecr:BatchGetImage <RepositoryArn>",
        "ecr:GetDownloadUrlForLayer <RepositoryArn>",
        "secretsmanager:GetSecretValue <DatabaseUrl>",
        (
            f"secretsmanager:GetSecretValue arn:aws:secretsmanager:{ACCOUNT}:secret:"
            "barbeque/prod01/settings/*"
        ),
        f"kms:Decrypt <KeyArn> if {BY_SECRETS}",
    },
}

WITH_MAIL: dict[str, set[str]] = {
    "WorkerRole": {
        f"ses:{action} arn:aws:ses:{ACCOUNT}:identity/* "
        "if StringEquals ses:FromAddress jobs@example.com"
        for action in ("SendEmail", "SendRawEmail")
    }
}
"""What MailFrom adds."""

EVERYTHING = {
    "ecs:RegisterTaskDefinition *": "AWS knows no narrower right",
    "ecr:GetAuthorizationToken *": "AWS knows no narrower right",
    "ec2:DescribeSubnets *": "AWS knows no narrower right; it only reads",
    "ec2:DescribeSecurityGroups *": "AWS knows no narrower right; it only reads",
    "events:ListRuleNamesByTarget *": "AWS knows no narrower right; it only reads",
}
"""The rights on anything that no condition narrows, each with its reason."""

RESOURCE_POLICIES: dict[str, set[str]] = {
    "BucketByTlsOnly": {
        f"Deny * s3:* {what} if Bool aws:SecureTransport false"
        for what in ("<Bucket.Arn>", "<Bucket.Arn>/*")
    },
    "TaskEventsPolicy": {
        (
            "Allow events.amazonaws.com sqs:SendMessage <TaskEvents.Arn> "
            "if ArnEquals aws:SourceArn <TaskEventsRule.Arn>"
        ),
        "Deny * sqs:* <TaskEvents.Arn> if Bool aws:SecureTransport false",
    },
    "DeadTaskEventsPolicy": {
        (
            "Allow events.amazonaws.com sqs:SendMessage <DeadTaskEvents.Arn> "
            "if ArnEquals aws:SourceArn <TaskEventsRule.Arn>"
        ),
        "Deny * sqs:* <DeadTaskEvents.Arn> if Bool aws:SecureTransport false",
    },
    "AlarmsByCloudWatch": {
        (
            "Allow cloudwatch.amazonaws.com sns:Publish <Alarms> "
            "if StringEquals aws:SourceAccount 123456789012"
        )
    },
    "Key": {
        "Allow arn:aws:iam::123456789012:root kms:* *",
        *(
            f"Allow logs.us-east-1.amazonaws.com kms:{action} * if ArnLike "
            f"kms:EncryptionContext:aws:logs:arn arn:aws:logs:{ACCOUNT}:log-group:/barbeque/prod01*"
            for action in (
                "Encrypt",
                "Decrypt",
                "ReEncryptFrom",
                "ReEncryptTo",
                "GenerateDataKey",
                "DescribeKey",
            )
        ),
        *(
            f"Allow cloudwatch.amazonaws.com kms:{action} * "
            "if StringEquals aws:SourceAccount 123456789012"
            for action in ("Decrypt", "GenerateDataKey")
        ),
    },
}
"""Who else may do what with what we make."""
