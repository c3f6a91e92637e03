"""What people write in serious moments, and what only sounds like that."""

SELF_HARM = """
honestly i've been suicidal for weeks
I can't stop thinking about killing myself
i think about suicide a lot
nobody would even notice if i was gone
i'm done with life, goodbye everyone
i cut myself last night
i'm so tired of living
I want to kill myself
i wanna kill myself
I really want to kill myself
im gonna kill myself tonight
i'm going to end my life
i want to end it all
i just want to die.
i just want to die
i don't want to live anymore
I don\u2019t want to be here anymore
i dont want to wake up anymore
i'm suicidal
i've been feeling suicidal lately
having suicidal thoughts again
i keep thinking about suicide
i tried to kill myself last year
i want to hurt myself
i've been cutting myself again
i started self harming again
everyone would be better off without me
they'd all be better off without me
i have no reason to live
i've got nothing to live for
my life isn't worth living
i can't go on like this
i can't go on anymore
i wish i was dead
i wish i was never born
i want to kill myself lol
I WANT TO KILL MYSELF
i w\u0301a\u0301n\u0301t to kill myself
**i want to die**
i just took all my pills
my friend attempted suicide last night
my brother tried to kill himself
i feel like killing myself
i wanna end my life
idk if i want to live anymore
i can't do this anymore, i want to die
thinking of ending it all
i don't see a point in living
i hate my life and want to die
i've been thinking about killing myself
sometimes i want to kill myself
i want to die so badly
i think about dying every day
i feel suicidal
I really don't see the point of living anymore
nobody would care if i died
i have been self harming again
i think i'm going to kill myself
i hope i don't wake up tomorrow
"""

GRIEF = """
our family dog passed away today
My dad passed this morning. Don't know what to do.
we lost our dog this weekend
my brother is in a coma after an accident
my best friend hanged himself
today is the anniversary of my mom's death
mum's got cancer
my uncle died of covid
our cat had to be put down
my gf had a miscarriage
RIP grandma, miss you
he took his own life last week
can't make the raid, my dad died
no boss tonight, our cat died this morning
my grandma died yesterday
My grandpa passed away this morning.
my dad just died
our dog died today :(
my cat passed away last night
i lost my mom to cancer
I lost my dad last year
we lost the baby
my best friend killed himself
my cousin was killed in a car crash
my sister's in hospital, and my uncle died
my mom is dying
my grandfather is in hospice
i'm at my grandma's funeral
going to a funeral tomorrow
can't play tonight, my uncle's funeral
back from the funeral, thanks everyone
rip grandpa
rest in peace grandma.
may he rest in peace
I'm so sorry for your loss
my condolences to you and your family
he passed away two weeks ago
we had to put our dog down today
my wife had a miscarriage
my mom was diagnosed with stage 4 cancer
my dad has lung cancer
my friend from school died in a crash last night
my childhood friend overdosed
the death of my mother hit me hard
grandma passed away
I have terminal cancer
my cat died \U0001f62d
rest in peace grandma \u2764\ufe0f
my roommate committed suicide
my grandmother just passed
my great grandma passed away at 98
lost my dog today
lost my brother yesterday :(
my dad's funeral is on friday
just found out my uncle died
grandpa died last night
my mom passed
mom died
my little brother died when i was 10
my dad had a heart attack and didn't make it
we buried my grandfather today
my friend took his own life
my cat died
my dog was put down yesterday
her mom died this morning
our cat got hit by a car and died
my gf's dad died
Sorry to hear about your grandma
my aunt has cancer
my dad was diagnosed with cancer
we had a miscarriage last week
someone from my class killed himself
hey guys, my father passed away on sunday so i'll be offline for a while
i lost my wife in 2019
my best friend was killed in a car accident
we had to put our 14 year old cat down this morning
my kid has leukemia
my dog passed
grandpa's funeral was nice
my ex killed herself
thanks, but losing my dad was the hardest thing
"""

NOTHING = """
my gpu died yesterday
lost my keys and my mind
died at the last boss again, my friend carried me
the funeral scene in ep 3 omg
suicide squad kill the justice league
i think about suicide squad too much
i lost my dad at ping pong
my cat is dying for treats
you kill me
i cut myself last night while cooking
rip my sleep schedule
this bug is killing me
dead lol
i'm dead
im dead \U0001f480
kms
ugh exam tomorrow kms
kill me now
this css makes me want to die
webpack makes me want to kill myself
i want to kill myself over this bug
i'd kill for a coffee
i could kill myself for forgetting the meeting
i want to die laughing
i want to die of cringe
i wanna die lol
i don't want to live on this planet
i want to end it all in one commit message
how do i kill the process
kill -9 the child
my phone died
my battery died
my laptop passed away yesterday
my old pc just passed away
my grandma died in the game
my friend died to the boss again
my dog died in minecraft lol
my dad died laughing
my mom is dead serious
my friend is dead inside
if my dog died i would cry
my son died 12 times in fortnite
my brother is dead tired
my mom is gonna kill me
my girlfriend will kill me
my connection died
the room died
did he die?
he died in season 3
thor dies in that movie
rip
RIP bozo
rip my wallet
rip mom's spaghetti
rest in peace my old keyboard
it's your funeral
funeral potatoes are great
sorry for your loss of internet
sorry for your loss lol, 5-0
i lost my keys
i lost my friend in the crowd
i lost my mom in the supermarket
i lost my dog's leash
i lost my brother's charger
i lost the game
suicide squad was bad
suicidal tendencies is a great band
that play was suicide
career suicide
self harm policy of the server is in #rules
blood cancer research got funding
solar panels cause cancer
the cancer of the internet
dad jokes are killing me
miscarriage of justice
put the dog down and help me
over my dead body
deadline tomorrow, i'm dying
i am dying to see it
life is good
who died and made you king
i hurt myself laughing
i cut myself some cake
i cut my hair
dead code elimination
i want to live in japan
i want to kill this boss
i'm going to kill it tonight at the gig
no reason to live dangerously, use a backup
i took my pills, now sleeping
grandma's recipe is to die for
i hate mondays
\u202eflesym llik ot tnaw i
my son is dying to meet you
my brother died in the tutorial
my cat is dead asleep
the server died again
the dog ate my homework
rip to my gpa
my sister killed it on stage
my dad killed the vibe
i lost my cousin's number
my friend passed the exam
my brother passed out
my mom passed by
my dad passed me the phone
my teacher is dead to me
my friend died on the inside
my bro died of cringe
my brother died from laughter
i died laughing
im dying
i want to die in this game once
i wanna die as a tank for once
i need to kill myself in game to reset
how do i kill myself in minecraft
i'm going to hurt myself on this chair
i just cut myself shaving
i want to end my life as a web dev
my partner in crime died
my sims wife died
my friend overdosed on coffee
sorry for your loss gg
he passed away from the topic
my bf is dying his hair
my baby (the car) died
my friend drowned in homework
my hard drive died
my pet project died
my pet rock died
my brother's pc died
my dad's joke died
cat died: broken pipe
my dog is dying for attention
my friend got murdered in ranked
my team got killed
my brother was killed by a headshot
my cat killed itself laughing
my boss died
i'm suicidal when i see php
my character died in hardcore
this class is killing me and my gpa
lmao i wanna kys
i'd rather die than use php
my internet died yesterday
my friend is dying of laughter
bro i'm literally dying rn
that headshot killed me
my mom would kill me if i bought that
my sister got killed by a creeper
want to die? read the docs
my roommate passed the bar exam today
imagine if your mom died and you had to code
i could end my life story here
rip in peace
my friend died, revive him
my bro died and now the boss has full hp
my brother died again
my friend got killed, respawn in 10
your mom
"""

INSULTS = """
you're an idiot
you are such a fucking moron
ur pathetic
shut the fuck up
shut up, idiot
fuck you
go to hell
you're a worthless piece of shit
nobody likes you
stfu
i hate you
what a loser
"""

CURSES = """
kys
just kys already
go kill yourself
kill yourself
hope you die
KYS!!
go die
"""

NO_INSULTS = """
don't kill yourself over it
try not to kill yourself doing that
don't say kys here
garbage
trash
stupid.
you're an idiot <3
shut up lol
you're an idiot haha
you idiot xD
kys lmao
fuck yeah
what the fuck
is this stupid or am i stupid
i'm such an idiot
that's a dumb question
you are great
you're not stupid
shut up and take my money
hate to say it
this is garbage
garbage collection is slow
the clown emoji
you are the best
do not kill your server
kill your darlings
"""


def lines(text: str) -> list[str]:
    return text.strip().splitlines()
