"""Discord's JSON for servers, their channels and threads. Ids are strings there."""

from sandbox.payloads import Json, in_guild, iso, member, user
from sandbox.world import CATEGORY, FORUM, VOICE, Guild, Place, World

_ABSENT = [
    "icon",
    "splash",
    "discovery_splash",
    "banner",
    "description",
    "home_header",
    "afk_channel_id",
    "application_id",
    "system_channel_id",
    "rules_channel_id",
    "vanity_url_code",
    "public_updates_channel_id",
    "safety_alerts_channel_id",
    "widget_channel_id",
    "incidents_data",
    "max_presences",
]
EVERYONE_PERMISSIONS = str(0x1CFF_FFFF_FFFF & ~0x8)  # all that members use; not administrator


def role(of: Guild) -> Json:
    """@everyone, the only role."""
    return {
        "id": str(of.id),
        "name": "@everyone",
        "description": None,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "position": 0,
        "permissions": EVERYONE_PERMISSIONS,
        "managed": False,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }


def guild(world: World, of: Guild) -> Json:
    """`GET /guilds/{id}`."""
    nothing = dict.fromkeys(_ABSENT)
    return {
        **nothing,
        "id": str(of.id),
        "name": of.name,
        "owner_id": str(world.owner_id),
        "region": "deprecated",
        "afk_timeout": 300,
        "widget_enabled": False,
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "roles": [role(of)],
        "emojis": [],
        "stickers": [],
        "features": [],
        "mfa_level": 0,
        "system_channel_flags": 0,
        "max_members": 500_000,
        "max_video_channel_users": 25,
        "max_stage_video_channel_users": 50,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "preferred_locale": "en-US",
        "nsfw": False,
        "nsfw_level": 0,
        "premium_progress_bar_enabled": False,
        "approximate_member_count": len(world.people),
        "approximate_presence_count": 1,
    }


def guild_create(world: World, of: Guild) -> Json:
    """The GUILD_CREATE event: the guild with its channels, active threads and the bot's member.

    As on Discord, channels that the bot may not see are there, with the overwrite that says so.
    """
    places = world.places_in(of)
    threads = [place for place in places if place.is_thread and world.is_seen(place.id)]
    return {
        **guild(world, of),
        "joined_at": iso(1_430_000_000_000),
        "large": False,
        "unavailable": False,
        "member_count": len(world.people),
        "voice_states": [],
        "members": [member(world.people[world.bot_id])],
        "channels": [channel(world, place) for place in places if not place.is_thread],
        "threads": [channel(world, place) for place in threads if not place.is_archived],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def channel(world: World, place: Place) -> Json:
    """A channel or thread of any kind."""
    last = str(place.posts[-1].id) if place.posts else None
    if place.is_direct:
        recipient = user(world.people[place.recipient_id or 0])
        direct = {"id": str(place.id), "type": place.kind, "flags": 0, "last_message_id": last}
        return {**direct, "recipients": [recipient]}
    common: Json = {
        "id": str(place.id),
        "type": place.kind,
        **in_guild(world, place.id),
        "name": place.name,
        "parent_id": str(place.parent_id) if place.parent_id else None,
        "flags": 0,
        "permissions": EVERYONE_PERMISSIONS,
    }
    if place.is_thread:
        return {**common, "last_message_id": last, **_thread(world, place)}
    common |= {"position": list(world.places).index(place.id), "permission_overwrites": []}
    common["permission_overwrites"] = _overwrites(world, place)
    if place.kind == CATEGORY:
        return common
    common |= {"last_message_id": last, "nsfw": False, "topic": None}
    common |= {"rate_limit_per_user": place.slowmode_seconds}
    if place.kind == VOICE:
        common |= {"bitrate": 64000, "user_limit": 0, "rtc_region": None, "video_quality_mode": 1}
    if place.kind == FORUM:
        common |= {
            "available_tags": [],
            "default_reaction_emoji": None,
            "default_sort_order": None,
            "default_forum_layout": 0,
        }
    return common


def _overwrites(world: World, place: Place) -> list[Json]:
    view, write, history = 1 << 10, 1 << 11, 1 << 16
    denied = view * place.is_hidden | history * (not place.may_read_history)
    denied |= write * (not place.may_write)
    if not denied:
        return []
    everyone = in_guild(world, place.id)["guild_id"]
    return [{"id": everyone, "type": 0, "allow": "0", "deny": str(denied)}]


def _thread(world: World, place: Place) -> Json:
    first = place.posts[0] if place.posts else None
    return {
        "owner_id": str(first.author_id if first else world.owner_id),
        "message_count": len(place.posts),
        "total_message_sent": len(place.posts),
        "member_count": 1,
        "rate_limit_per_user": place.slowmode_seconds,
        "bitrate": 64000,
        "user_limit": 0,
        "rtc_region": None,
        "applied_tags": [],
        "thread_metadata": {
            "archived": place.is_archived,
            "archive_timestamp": iso(place.active_ms),
            "auto_archive_duration": 4320,
            "locked": place.is_locked,
            "create_timestamp": iso(place.made_ms),
        },
    }
