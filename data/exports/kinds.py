"""Discord's types of messages and channels by the names that exports give them."""

from data.exports.ids import number
from data.exports.source import Skip

UNKNOWN = "an unknown message type"
MOST_TYPES = 1000

_MESSAGES = {  # Discord API reference, "Message Types"
    "Default": 0,
    "RecipientAdd": 1,
    "RecipientRemove": 2,
    "Call": 3,
    "ChannelNameChange": 4,
    "ChannelIconChange": 5,
    "ChannelPinnedMessage": 6,
    "GuildMemberJoin": 7,
    "UserJoin": 7,
    "GuildBoost": 8,
    "GuildBoostTier1": 9,
    "GuildBoostTier2": 10,
    "GuildBoostTier3": 11,
    "ChannelFollowAdd": 12,
    "GuildDiscoveryDisqualified": 14,
    "GuildDiscoveryRequalified": 15,
    "GuildDiscoveryGracePeriodInitialWarning": 16,
    "GuildDiscoveryGracePeriodFinalWarning": 17,
    "ThreadCreated": 18,
    "Reply": 19,
    "ChatInputCommand": 20,
    "ThreadStarterMessage": 21,
    "GuildInviteReminder": 22,
    "ContextMenuCommand": 23,
    "AutoModerationAction": 24,
    "RoleSubscriptionPurchase": 25,
    "InteractionPremiumUpsell": 26,
    "StageStart": 27,
    "StageEnd": 28,
    "StageSpeaker": 29,
    "StageTopic": 31,
    "GuildApplicationPremiumSubscription": 32,
    "GuildIncidentAlertModeEnabled": 36,
    "GuildIncidentAlertModeDisabled": 37,
    "GuildIncidentReportRaid": 38,
    "GuildIncidentReportFalseAlarm": 39,
    "PurchaseNotification": 44,
    "PollResult": 46,
}
_CHANNELS = {  # our word (the fetcher's): Discord's number and name, DiscordChatExporter's name
    "text": (0, "GUILD_TEXT", "GuildTextChat"),
    "private": (1, "DM", "DirectTextChat"),
    "voice": (2, "GUILD_VOICE", "GuildVoiceChat"),
    "group": (3, "GROUP_DM", "DirectGroupTextChat"),
    "category": (4, "GUILD_CATEGORY", "GuildCategory"),
    "news": (5, "GUILD_ANNOUNCEMENT", "GuildNews"),
    "news_thread": (10, "ANNOUNCEMENT_THREAD", "GuildNewsThread"),
    "public_thread": (11, "PUBLIC_THREAD", "GuildPublicThread"),
    "private_thread": (12, "PRIVATE_THREAD", "GuildPrivateThread"),
    "stage_voice": (13, "GUILD_STAGE_VOICE", "GuildStageVoice"),
    "forum": (15, "GUILD_FORUM", "GuildForum"),
}
_CHANNEL_WORDS = {str(name): word for word, names in _CHANNELS.items() for name in names}


def message_type(value: object) -> int:
    """Discord's number of a message type. Raises `Skip` for one that nobody knows."""
    if isinstance(value, str) and not value.isdecimal():
        if value not in _MESSAGES:
            raise Skip(UNKNOWN)
        return _MESSAGES[value]
    kind = 0 if value is None else number(value)
    if not 0 <= kind < MOST_TYPES:
        raise Skip(UNKNOWN)
    return kind


def channel_kind(value: object) -> str:
    """What a channel is called here; one of an unknown type passes for text."""
    return _CHANNEL_WORDS.get(str(value), "text")
