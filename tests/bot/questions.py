"""What people ask a bot about itself, and what only sounds like that; `<@1>` is the bot."""

SINCERE = """
are you a bot?
are you a bot
Are you a bot lol
are you a bot?? be honest
hey <@1> are you a bot
<@1> are you actually a bot or a person?
ARE YOU A BOT
aRe YoU a BoT?
are u a bot
r u a bot
r u bot?
ru a bot?
are you bot
are you a robot?
are you an AI?
are you an ai bot
are you AI
wait are you ai??
are you a chatbot
are you a chat bot?
are you an LLM
are you chatgpt?
are you gpt
are you a language model?
are you a large language model?
are you a machine?
are you human?
are you human
are you a human being
are you a real person?
are you a real human or not
are you even human
are you real?
are you real
are you a person or a bot
bot or human?
human or bot
so are you human or ai?
you a bot?
u a bot?
u bot?
you're a bot right?
youre a bot, aren't you?
ur a bot arent you?
you are a bot, right?
you're not a real person, are you?
so you're just a bot?
wait, you're an AI?
am i talking to a bot?
am I talking to a real person
are we talking to a bot here?
i'm talking to a bot, aren't i?
is this a bot?
is this an AI?
is this account a bot?
is <@1> a bot?
is <@1> an AI
is there a human behind this account?
is there a real person behind this?
is anyone real behind this account?
tell me honestly if you are a bot
tell me if you're a bot
can you confirm that you are human?
i want to know if you're a bot or a human
prove you're human
prove that you are not a bot
admit it, you're a bot
what are you, a bot?
what are you, an AI or something
are you some kind of bot?
are you like a robot or something
are you legit a bot
honest question: are you a bot?
sorry if this is rude but are you a bot
do you run on gpt?
are you powered by AI?
aren't you a bot?
arent you a bot
are you not a bot?
are you secretly an ai
are you botttt
\uff41\uff52\uff45 \uff59\uff4f\uff55 \uff41 \uff42\uff4f\uff54
a\u0337r\u0337e\u0337 you a b\u0337o\u0337t\u0337?
are **you** a *bot*?
dude are you literally a bot
hey man, quick one, are you a human or a bot? no judgement
I know you are an AI, right?
are you sure you're not a bot?
are you a bot or what
are you automated?
u a bot or what
you an ai
is a human typing this?
""".strip().split("\n")

OTHER = """
is he a bot?
is she a bot lol
is somebody a bot
is <@2> a bot?
is that guy a bot
are they bots?
are there bots here?
are you a bot developer?
are you a bot dev
are you the bot owner?
are you a bot admin here
are you a human rights lawyer?
are you a real madrid fan
are you for real
are you for real?
are you being real right now
are you really going?
are you using a bot for that?
are you into AI?
are you ai-pilled
are you making a bot?
are you working on a bot
are you sure the bot is human?
did you write a bot?
do you have a bot?
do you like bots
do you run a server?
can you add a bot
what bot are you using?
which AI do you use?
i am a bot
i'm not a bot
the bot is down again
bot
lol bots
good bot
bad bot
bots are taking over
that's what a bot would say
you should build a bot
you are the best
you're a legend
you are human trash
if you are a bot you can use the API without a token
if you're a bot, set the bot flag
are you there?
are you ok?
are you a student?
are you a wizard
are you kidding me
are you botting
are you a bottom
are you bothered by it?
are you aiming for that
is this a bug?
you real mvp
you human centipede
is a person allowed there?
is this a bot token?
is this the bot channel?
is this real
is it real?
are we real friends
is anyone here?
does anyone here run a bot?
who is a bot
whats an llm
> are you a bot?
```are you a bot```
he asked "are you a bot?" and left
type `are you a bot` to test it
https://example.org/are-you-a-bot
are you a robot vacuum owner
human or not, i like him
am i talking too much?
i was talking to a bot yesterday
we are talking to real people next week
am i a bot?
i wonder if they are bots
do you know if he is a bot
are your bots online?
your bot is broken
ur bot sucks
is your bot open source?
prove it
tell me if you are coming
""".strip().split("\n")

DENIALS = [
    ("are you a bot?", "no"),
    ("are you a bot?", "nah lol"),
    ("are you a bot?", "nope"),
    ("are you a bot?", "no im human"),
    ("are you a bot?", "i'm not a bot"),
    ("r u a bot", "im not a bot wtf"),
    ("are you a bot", "I am not an AI"),
    ("are you a bot", "not a bot"),
    ("are you a bot", "lol no, not a bot"),
    ("are you a bot", "i ain't a bot"),
    ("are you a bot", "i'm a real person"),
    ("are you a bot", "100% human"),
    ("are you a bot", "do i look like a bot"),
    ("are you a bot", "i promise i'm real"),
    ("are you human?", "yes"),
    ("are you human?", "yeah of course"),
    ("are you a real person?", "yep"),
    ("bot or human?", "human"),
    ("so which is it, human or bot, tell us", "i am human"),
    ("clanker", "no bot here"),
    ("everyone thinks he's an ai", "im literally a human"),
    ("are you not a bot?", "yes"),
    ("who are you really", "i'm a human being"),
    ("what are you", "just a real person"),
    ("are you a bot?", "what? no\ni'm a person"),
    ("are you a bot?", "I\u2019m not a bot"),
]

HARMLESS = [
    ("are you a bot?", "yes"),
    ("are you a bot?", "yeah i'm a bot"),
    ("are you a bot?", "i'm an ai, sorry"),
    ("are you human?", "no, i'm a bot"),
    ("are you human?", "nope"),
    ("the bot is down", "not again"),
    ("the bot is down", "no idea"),
    ("the bot is down", "no"),
    ("how do i add a bot", "i'm not sure"),
    ("how do i add a bot", "not a clue"),
    ("is he a bot?", "no, he's from berlin"),
    ("are you coming?", "no"),
    ("are you coming?", "i'm a real fan of that"),
    ("good morning", "i'm not a bot"),
    ("the bot is real fun", "im real tired"),
    ("is that bot real", "real"),
    ("that bot is so real", "so real lol"),
    ("is that account a bot", "thats not a bot lol"),
    ("my robot vacuum died", "i am not surprised"),
    ("what a machine", "im not going"),
]
