"""What people are told, in each language: one catalogue, by English keys."""

from typing import Any

_JA = {
    "{name} succeeded": "{name} が成功しました",
    "{name} failed": "{name} が失敗しました",
    "{name} failed {count} times": "{name} が {count} 回失敗しました",
    "{name} was cancelled": "{name} がキャンセルされました",
    "{name}: attempt {attempt} failed": "{name}: 試行 {attempt} が失敗しました",
    "{name} runs for longer than expected": "{name} の実行が想定より長引いています",
    "{name} works again": "{name} が復旧しました",
    "A test notice of {name}": "{name} のテスト通知です",
    "It is tried again.": "再試行します。",
    "It will not be tried again by itself.": "自動では再試行されません。",
    "It failed before, and now it has succeeded.": "以前は失敗していましたが、今回は成功しました。",
    "Whoever reads this is told of what happens.": (
        "この通知が届いていれば、設定は正しく動いています。"
    ),
    "The same failure came {count} times since the last message; this is one of them.": (
        "前回の通知以降に同じ失敗が {count} 回ありました。以下はそのうちの 1 件です。"
    ),
    "It should have taken {expected} at most.": "想定は最長 {expected} です。",
    "It ended with exit code {code}.": "終了コード {code} で終了しました。",
    "It needed more memory than it has.": "メモリが不足しました。",
    "It ran for longer than it may.": "制限時間を超えました。",
    "It was cancelled.": "キャンセルされました。",
    "The machine it ran on went away too often.": "実行中のマシンが繰り返し失われました。",
    "It could not be started.": "起動できませんでした。",
    "It was running, and then it was gone without a trace.": (
        "実行中でしたが、痕跡なく消えました。"
    ),
    "Exit code": "終了コード",
    "Attempts": "試行回数",
    "{attempts} of {tries}": "{attempts} / {tries}",
    "Duration": "実行時間",
    "Result": "結果",
    "Finished": "終了",
    "Started": "開始",
    "User": "ユーザー",
    "Queue": "キュー",
    "Message id": "メッセージ ID",
    "Last lines of the log": "ログの末尾",
    "{count} lines before these": "これより前に {count} 行",
    "The log was not ready in time.": "ログは間に合いませんでした。",
    "Open the execution": "実行を開く",
    "Open the log": "ログを開く",
    "{hours} h {minutes} min": "{hours} 時間 {minutes} 分",
    "{minutes} min {seconds} s": "{minutes} 分 {seconds} 秒",
    "{seconds} s": "{seconds} 秒",
}

_CATALOGUE: dict[str, dict[str, str]] = {"ja": _JA}


def say(locale: str, phrase: str, **facts: Any) -> str:
    """Return the phrase in the language, English where it has none of its own."""
    return _CATALOGUE.get(locale, {}).get(phrase, phrase).format(**facts)


def phrases(locale: str) -> frozenset[str]:
    """Return the English phrases that the language has words for."""
    return frozenset(_CATALOGUE[locale])
