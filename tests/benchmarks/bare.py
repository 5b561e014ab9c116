"""The least that a client can do: import aiobotocore, make the same CreateTrainingJob call, end."""

import asyncio
import json
import sys

from aiobotocore.session import get_session


async def main() -> None:
    async with get_session().create_client("sagemaker") as client:
        await client.create_training_job(**json.loads(sys.argv[1]))


asyncio.run(main())
